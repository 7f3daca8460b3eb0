//! All that a results file holds, as typed rows: what findings, figures and pages are made from.
//!
//! One list names every kind of record; from it come the struct, its reader, its writer and the list
//! of what each kind is, so that a new kind is added here once.

use super::*;
use crate::analysis::verdict::BOUND;
use crate::analysis::BASE;
use crate::store::{Frame, Meta, Record, ResultsReader, ResultsWriter, StoreError, Values};

/// Estimator of the directions that coupling and shifts are of.
const USUAL: &str = "mean-diff";

macro_rules! results {
    ($($field:ident: $row:ident,)+) => {
        /// Every record of a results file; a kind that the file lacks has no rows.
        #[derive(Debug, Clone, Default, PartialEq)]
        pub struct Results {
            $(#[doc = concat!("Rows of [`", stringify!($row), "`].")] pub $field: Vec<$row>,)+
        }

        impl Results {
            /// Reads all records.
            ///
            /// # Errors
            /// `OtherColumns` for a record of another version, `Hdf5`.
            pub fn read(reader: &ResultsReader) -> Result<Self, StoreError> {
                Ok(Results { $($field: reader.records()?,)+ })
            }

            /// Keeps the rows whose cells in a column, if their kind has it, pass a test.
            pub fn keep(&mut self, column: &str, passes: impl Fn(&Values, usize) -> bool) {
                $(
                    let at = $row::META.fields.iter().position(|f| f.name == column);
                    if let Some(cells) = at.map(|at| $row::columns(&self.$field).swap_remove(at)) {
                        let mut rows = 0..;
                        self.$field.retain(|_| rows.next().is_some_and(|i| passes(&cells, i)));
                    }
                )+
            }

            /// Gives the texts in some columns, of all kinds that have them, other names.
            pub fn rename(&mut self, columns: &[&str], to: impl Fn(&str) -> String) {
                $(
                    let mut cells = $row::columns(&self.$field);
                    for (field, values) in $row::META.fields.iter().zip(&mut cells) {
                        if let (true, Values::Text(texts)) = (columns.contains(&field.name), values) {
                            texts.iter_mut().for_each(|text| *text = to(text));
                        }
                    }
                    if let Some(rows) = $row::from_columns(cells) {
                        self.$field = rows;
                    }
                )+
            }

            /// Keeps the rows of some kinds.
            pub fn retain(&mut self, kept: impl Fn(&Meta) -> bool) {
                $(if !kept($row::META) {
                    self.$field.clear();
                })+
            }

            /// One frame a kind, also of those without rows.
            pub fn frames(&self) -> Vec<Frame> {
                vec![$(Frame::of(&self.$field)),+]
            }

            /// Adds the rows of others behind its own.
            pub fn extend(&mut self, other: Results) {
                $(self.$field.extend(other.$field);)+
            }

            /// Writes all records that have rows.
            ///
            /// # Errors
            /// As [`ResultsWriter::frame`].
            pub fn write(&self, to: &mut ResultsWriter) -> Result<(), StoreError> {
                self.frames().iter().try_for_each(|frame| to.frame(frame))
            }
        }

        /// What every kind of record is.
        pub fn all() -> Vec<&'static Meta> {
            vec![$($row::META),+]
        }

        /// The rows of a kind of record in a file, by its path; none where no record has that path.
        ///
        /// # Errors
        /// As [`ResultsReader::records`].
        pub fn frame(reader: &ResultsReader, path: &str) -> Result<Option<Frame>, StoreError> {
            $(if $row::META.path == path {
                return Ok(Some(Frame::of(&reader.records::<$row>()?)));
            })+
            Ok(None)
        }
    };
}

results! {
    states: StateRow,
    conditions: ConditionRow,
    concepts: ConceptRow,
    couples: CoupleRow,
    preferences: PreferenceRow,
    bounds: BoundRow,
    declaration: DeclarationRow,
    declared_contrasts: DeclaredContrastRow,
    declared_keys: DeclaredKeyRow,
    layers: LayerRow,
    training: TrainingRow,
    mixing: MixingRow,
    warnings: WarningRow,
    quality: QualityRow,
    nuisances: NuisanceRow,
    nuisance_cosines: NuisanceCosineRow,
    agreement: AgreementRow,
    carried: CarriedRow,
    layer_choice: LayerChoiceRow,
    erasers: EraserRow,
    projections: ProjectionRow,
    token_projections: TokenProjectionRow,
    foreign: ForeignRow,
    foreign_cosines: ForeignCosineRow,
    coupling: CouplingRow,
    nulls: NullRow,
    pair_nulls: PairNullRow,
    precision: PrecisionRow,
    condition_coupling: ConditionCouplingRow,
    changes: ChangeRow,
    shifts: ShiftRow,
    shift_contrasts: ShiftContrastRow,
    planes: PlaneRow,
    trace: TraceRow,
    poles: PoleRow,
    shift_cosines: ShiftCosineRow,
    stability: StabilityRow,
    alignment: AlignmentRow,
    transfer: TransferRow,
    overlap: OverlapRow,
    regions: RegionRow,
    modes: ModeRow,
    null_states: NullStateRow,
    stickiness: StickinessRow,
    scores: ScoreRow,
    contrasts: ContrastRow,
    acquiescence: AcquiescenceRow,
    declining: DecliningRow,
    claims: ClaimRow,
    took: TookRow,
    one_factor: OneFactorRow,
    conversations: ConversationRow,
    turns: TurnRow,
    rates: RateRow,
    utilities: UtilityRow,
    choices: ChoiceRow,
    readouts: ReadoutRow,
    utility_cosines: UtilityCosineRow,
    ablation: AblationRow,
    ablated_states: AblatedStateRow,
    doses: DoseRow,
    slopes: SlopeRow,
    edits: EditRow,
    answers: AnswersRow,
    trajectory: TrajectoryRow,
    half_way: HalfWayRow,
    leads: LeadRow,
    links: LinkRow,
    link_points: LinkPointRow,
    rankings: RankingRow,
    findings: FindingRow,
    references: ReferencePointRow,
    differences: DifferenceRow,
    compared: ComparedRow,
    shared: SharedRow,
    provenance: ProvenanceRow,
}

/// The kinds of record that a file holds.
pub fn present(reader: &ResultsReader) -> Vec<&'static Meta> {
    let held = |m: &&'static Meta| reader.attr(m.path, "columns").is_ok();
    all().into_iter().filter(held).collect()
}

/// Whether two pairs of concepts are the same, in either order.
pub fn same_pair((a, b): (&str, &str), (x, y): (&str, &str)) -> bool {
    (a == x && b == y) || (a == y && b == x)
}

/// Roles and choices, by name. A file of one command has no conditions, roles or couples of a study:
/// what its rows name then stands in their place.
impl Results {
    fn with_role(&self, role: &str) -> Option<&ConditionRow> {
        self.conditions.iter().find(|c| c.role == role)
    }

    /// The condition that the study is about, if it names one.
    pub fn focus(&self) -> Option<&str> {
        self.with_role("focus").map(|c| c.condition.as_str())
    }

    /// The condition that others are compared with, if it names one.
    pub fn reference(&self) -> Option<&str> {
        self.with_role("reference").map(|c| c.condition.as_str())
    }

    /// The fine-tune of the same recipe on neutral rows, if there is one.
    pub fn neutral(&self) -> Option<&str> {
        self.with_role("neutral").map(|c| c.condition.as_str())
    }

    /// Bound of equivalence of a cosine or a preference.
    pub fn bound(&self, quantity: &str) -> f64 {
        let known = self.bounds.iter().find(|b| b.quantity == quantity);
        known.map_or(BOUND, |b| b.bound)
    }

    /// A condition by its name.
    pub fn condition(&self, name: &str) -> Option<&ConditionRow> {
        self.conditions.iter().find(|c| c.condition == name)
    }

    /// Conditions other than base in order; without a study, the sets of the contrasts and changes.
    pub fn tuned(&self) -> Vec<&str> {
        let named: Vec<&str> = match self.conditions.is_empty() {
            false => self.conditions.iter().map(|c| &*c.condition).collect(),
            true => (self.contrasts.iter().map(|c| &*c.set))
                .chain(self.changes.iter().map(|c| &*c.set))
                .chain(self.ablation.iter().map(|c| &*c.set))
                .collect(),
        };
        distinct(named.into_iter().filter(|n| *n != BASE))
    }

    /// The conditions that findings are about: the focus, or all where there is none.
    pub fn about(&self) -> Vec<&str> {
        self.focus().map_or_else(|| self.tuned(), |f| vec![f])
    }

    /// What they are compared with: base, the reference, and the recipe-matched neutral.
    pub fn against(&self) -> Vec<&str> {
        distinct([BASE].into_iter().chain(self.reference()).chain(self.neutral()))
    }

    /// What findings compare: the former with each of the latter, then what was declared besides.
    pub fn compared(&self) -> Vec<(&str, &str)> {
        let against = self.against();
        let roles = self.about().into_iter().flat_map(|set| against.iter().map(move |r| (set, *r)));
        distinct(roles.chain(self.declared_contrasts.iter().map(|d| (&*d.set, &*d.reference))))
    }

    /// Whether a contrast was declared before the run; NaN is the layer of a quantity that has none.
    pub fn is_declared(&self, quantity: &str, (set, reference): (&str, &str), layer: f64) -> bool {
        let known = |d: &DeclaredContrastRow| {
            (&*d.quantity, &*d.set, &*d.reference) == (quantity, set, reference)
                && (d.layer == layer || d.layer.is_nan() && layer.is_nan())
        };
        self.declaration.iter().any(|d| !d.late) && self.declared_contrasts.iter().any(known)
    }

    /// Model states of a condition; without a study, the state of that name.
    pub fn states_of(&self, condition: &str) -> Vec<&str> {
        let own = self.states.iter().filter(|s| s.condition == condition);
        own.map(|s| s.state.as_str()).collect()
    }

    /// Pairs of concepts whose coupling is tested.
    pub fn pairs(&self) -> Vec<(&str, &str)> {
        match self.couples.is_empty() {
            false => (self.couples.iter().map(|c| (&*c.concept_a, &*c.concept_b))).collect(),
            true => {
                let rows = self.condition_coupling.iter();
                distinct(rows.map(|r| (&*r.concept_a, &*r.concept_b)))
            }
        }
    }

    /// Concepts of those pairs, each once; without any, all concepts of the shifts.
    pub fn coupled(&self) -> Vec<&str> {
        let pairs = self.pairs();
        match pairs.is_empty() {
            false => distinct(pairs.into_iter().flat_map(|(a, b)| [a, b])),
            true => distinct(self.shifts.iter().map(|s| &*s.concept)),
        }
    }

    /// Layers of the file in order.
    pub fn all_layers(&self) -> Vec<usize> {
        let mut layers: Vec<usize> = match self.layers.is_empty() {
            false => self.layers.iter().map(|l| l.layer).collect(),
            true => (self.condition_coupling.iter().map(|r| r.layer))
                .chain(self.shifts.iter().map(|r| r.layer))
                .chain(self.quality.iter().map(|r| r.layer))
                .collect(),
        };
        layers.sort_unstable();
        layers.dedup();
        layers
    }

    /// Layers fixed beforehand for the report; where none is marked, all of few, or those at 1/3 and
    /// 4/5 of the depth.
    pub fn reported(&self) -> Vec<usize> {
        let marked = self.layers.iter().filter(|l| l.reported);
        let marked: Vec<usize> = marked.map(|l| l.layer).collect();
        let all = self.all_layers();
        match (marked.is_empty(), all.len()) {
            (false, _) => marked,
            (true, 0..=4) => all,
            (true, n) => vec![all[n / 3], all[n * 4 / 5]],
        }
    }

    /// The estimator that coupling and shifts use, of those whose quality is known.
    pub fn estimator(&self) -> &str {
        let names = || self.quality.iter().map(|q| q.estimator.as_str());
        names().find(|n| *n == USUAL).or_else(|| names().next()).unwrap_or_default()
    }

    /// Positions that shifts are measured at, the responses' first.
    pub fn shift_position(&self) -> &str {
        let names = || self.shifts.iter().map(|s| s.position.as_str());
        let whole = names().find(|n| n.starts_with("response"));
        whole.or_else(|| names().next()).unwrap_or_default()
    }
}

pub use crate::store::values::distinct;
