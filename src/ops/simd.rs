//! Which vector instructions the kernels use, chosen once when the program runs.
//!
//! One binary serves every machine of its architecture: matrix products have a kernel for each set of
//! instructions, and the loops in between are compiled once for each (`vectorised!`). `RESIDUUM_KERNELS`
//! names one in place of the best that the machine has. Elementwise loops and sums give the same bits
//! whichever is used, since nothing is reordered or fused in them; matrix products differ in the last bits
//! of their f32 sums, so that runs are equal to the bit where their kernels are.

use std::sync::OnceLock;

/// Sets of instructions, each with all that the one before has; [`Simd::Portable`] alone stands for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Simd {
    /// Plain Rust in vectors of four lanes, as any compiler makes them.
    Portable,
    /// AVX2, FMA and F16C.
    Avx2,
    /// AVX-512 of x86-64-v4.
    Avx512,
    /// Dot products of bf16 besides.
    Bf16,
    /// Matrix units for bf16 besides.
    Amx,
}

impl Simd {
    const ALL: [Simd; 5] = [Simd::Portable, Simd::Avx2, Simd::Avx512, Simd::Bf16, Simd::Amx];

    /// The variable that names one.
    pub const VARIABLE: &str = "RESIDUUM_KERNELS";

    /// As [`Simd::VARIABLE`] names it.
    pub fn name(self) -> &'static str {
        match self {
            Simd::Portable => "portable",
            Simd::Avx2 => "avx2",
            Simd::Avx512 => "avx512",
            Simd::Bf16 => "bf16",
            Simd::Amx => "amx",
        }
    }

    /// What this machine can run, the best last.
    pub fn available() -> &'static [Simd] {
        #[cfg(target_arch = "x86_64")]
        let best = {
            macro_rules! has {
                ($($feature:tt)*) => { $(is_x86_feature_detected!($feature))&&* };
            }
            let avx2 = has!("avx2" "fma" "f16c" "bmi1" "bmi2" "lzcnt" "popcnt" "movbe");
            let avx512 = avx2 && has!("avx512f" "avx512bw" "avx512cd" "avx512dq" "avx512vl");
            let bf16 = avx512 && has!("avx512bf16");
            [avx2, avx512, bf16, bf16 && amx()].into_iter().map(usize::from).sum::<usize>()
        };
        #[cfg(not(target_arch = "x86_64"))]
        let best = 0;
        &Self::ALL[..=best]
    }

    /// Extensions of the processor that matter to the kernels, of those that this machine has.
    pub fn extensions() -> Vec<&'static str> {
        #[cfg(target_arch = "x86_64")]
        {
            macro_rules! those {
                ($($feature:tt)*) => { [$(($feature, is_x86_feature_detected!($feature))),*] };
            }
            let all = those!("avx2" "fma" "f16c" "bmi2" "avx512f" "avx512bw" "avx512dq" "avx512vl"
                "avx512vnni" "avx512bf16");
            let amx = [("amx-bf16", amx())];
            all.into_iter().chain(amx).filter(|f| f.1).map(|f| f.0).collect()
        }
        #[cfg(not(target_arch = "x86_64"))]
        Vec::new()
    }

    /// The one that is named, or the best that there is.
    ///
    /// # Errors
    /// A name that is none, or one of instructions that this machine lacks.
    pub fn choose(named: Option<&str>) -> Result<Simd, String> {
        let all = Self::available();
        let Some(named) = named else { return Ok(all[all.len() - 1]) };
        all.iter().find(|s| s.name() == named).copied().ok_or_else(|| {
            let here: Vec<&str> = all.iter().map(|s| s.name()).collect();
            let why = match Self::ALL.iter().any(|s| s.name() == named) {
                true => "asks for instructions that this machine lacks",
                false => "is unknown",
            };
            format!("{}={named} {why}; here it may be {}", Self::VARIABLE, here.join(", "))
        })
    }

    /// As [`Simd::choose`], of what the environment names.
    ///
    /// # Errors
    /// As [`Simd::choose`].
    pub fn from_environment() -> Result<Simd, String> {
        let named = std::env::var_os(Self::VARIABLE);
        Self::choose(named.as_deref().map(|n| n.to_string_lossy()).as_deref())
    }

    /// Whether products in bf16 are worth while: the machine has instructions for them, or the kernels are
    /// named, as for a test, and those of f32 do it.
    ///
    /// # Errors
    /// Where neither holds, or as [`Simd::choose`].
    pub fn bf16() -> Result<(), String> {
        let here = Self::from_environment()?;
        if here >= Simd::Bf16 || std::env::var_os(Self::VARIABLE).is_some() {
            return Ok(());
        }
        Err(format!(
            "--dtype bf16 on a CPU needs one with bf16 dot products (AVX512-BF16), which this one lacks; compute in f32, or set {}={} for a trial, which is slower than f32",
            Self::VARIABLE, here.name(),
        ))
    }

    /// What the kernels use in this process. A name in the environment that [`Simd::from_environment`]
    /// refuses, as the program does before it computes, counts as none.
    pub fn here() -> Simd {
        static HERE: OnceLock<Simd> = OnceLock::new();
        let all = Self::available;
        *HERE.get_or_init(|| Self::from_environment().unwrap_or(all()[all().len() - 1]))
    }
}

/// Whether the machine has AMX for bf16 and Linux lets this process use it.
#[cfg(target_arch = "x86_64")]
fn amx() -> bool {
    // Leaf 7: bit 22 AMX-BF16, 24 AMX-TILE.
    const BITS: u32 = 1 << 22 | 1 << 24;
    let has = std::arch::x86_64::__cpuid_count(7, 0).edx & BITS == BITS;
    if !(has && cfg!(target_os = "linux")) {
        return false;
    }
    // arch_prctl(ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA)
    let mut answer: i64 = 158;
    // SAFETY: a system call that changes nothing but what this process may use.
    unsafe {
        std::arch::asm!("syscall", inout("rax") answer, in("rdi") 0x1023, in("rsi") 18,
            out("rcx") _, out("r11") _, options(nostack));
    }
    answer == 0
}

/// Evaluates an expression with its loops compiled for the vectors of [`Simd::here`]: those that stand in
/// it and in what is inlined into it, no others, so functions that it calls are `#[inline(always)]`.
macro_rules! vectorised {
    ($expression:expr) => {
        $crate::ops::simd::wide(
            #[inline(always)]
            || $expression,
        )
    };
}
pub(crate) use vectorised;

/// What [`vectorised!`] calls: `f` must be an `#[inline(always)]` closure.
#[inline(always)]
pub fn wide<R>(f: impl FnOnce() -> R) -> R {
    #[cfg(target_arch = "x86_64")]
    {
        #[target_feature(enable = "avx2,fma,f16c,bmi1,bmi2,lzcnt,popcnt,movbe")]
        unsafe fn avx2<R>(f: impl FnOnce() -> R) -> R {
            f()
        }
        #[target_feature(enable = "avx512f,avx512bw,avx512cd,avx512dq,avx512vl")]
        #[target_feature(enable = "avx2,fma,f16c,bmi1,bmi2,lzcnt,popcnt,movbe")]
        unsafe fn avx512<R>(f: impl FnOnce() -> R) -> R {
            f()
        }
        match Simd::here() {
            Simd::Portable => {}
            // SAFETY: `here` is what the machine has.
            Simd::Avx2 => return unsafe { avx2(f) },
            // SAFETY: as above.
            _ => return unsafe { avx512(f) },
        }
    }
    f()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_gives_its_kernels_and_any_other_an_error_that_says_what_there_is() {
        let all = Simd::available();
        assert_eq!(Simd::choose(None), Ok(all[all.len() - 1]));
        for simd in all {
            assert_eq!(Simd::choose(Some(simd.name())), Ok(*simd));
        }
        for simd in Simd::ALL.iter().filter(|s| !all.contains(s)) {
            let error = Simd::choose(Some(simd.name())).unwrap_err();
            assert!(error.contains("lacks") && error.contains("portable"), "{error}");
        }
        for wrong in ["", "AVX2", "sse"] {
            let error = Simd::choose(Some(wrong)).unwrap_err();
            assert!(error.contains("is unknown; here it may be portable"), "{error}");
        }
    }
}
