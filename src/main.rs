use clap::Parser;
#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;
#[derive(Parser)]
struct A { #[command(subcommand)] c: C }
#[derive(clap::Subcommand)]
enum C { Study(residuum::cli::study::StudyArgs) }
fn main() {
    let a = A::parse();
    let c = residuum::cli::console::Console { json: false, quiet: false };
    let r = match a.c { C::Study(s) => residuum::cli::study::run(s, &c) };
    if let Err(e) = r { eprintln!("{e:#}"); std::process::exit(1) }
}
