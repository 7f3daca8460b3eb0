//! Every record of a study, by the analyses that commands call too, of what its stages left.

use super::finetune::Learnt;
use super::{ablate, about, capture, converse, dose, trajectory};
use crate::analysis::behaviour::{
    behaviour, pairings, preference_rows, Behaviour, BehaviourRecords, By,
};
use crate::analysis::cause::{
    judge_ablations, judge_doses, AblationRecords, DoseRecords, Sides, CLAIM, PREFERENCES,
};
use crate::analysis::conversations::{talked, ConversationRecords, Talked};
use crate::analysis::directions::{measure, DirectionOptions, Directions};
use crate::analysis::findings::{doubts, findings};
use crate::analysis::geometry::{geometry, GeometryOptions, GeometryRecords, Kin, Kinship};
use crate::analysis::link::{behaviours, links, LinkInput, LinkRecords};
use crate::analysis::records::Results;
use crate::analysis::trajectory::TrajectoryRecords;
use crate::analysis::{ConceptInfo, Readings, StateTexts, BASE};
use crate::behavior::PairScore;
use crate::causal::{Guards, KNOWN_ORDER};
use crate::model::Model;
use crate::study::layout::{self, Layout};
use crate::study::manifest::Study;
use crate::study::planner::POSITIONS;
use crate::study::{files, StudyError};

/// Bootstrap draws of the quality of directions in states other than base.
const TUNED_DRAWS: usize = 200;

/// What the stages left, and of what.
pub struct Left<'a> {
    pub layout: &'a Layout,
    pub study: &'a Study,
    pub model: &'a Model,
    pub learnt: &'a [Learnt],
}

/// Every record, with the readings and directions that they are of.
///
/// # Errors
/// A file that is not there or holds something else; an analysis'.
pub fn all(
    left: &Left,
    watch: &mut dyn FnMut(&str),
) -> Result<(Readings, Directions, Results), StudyError> {
    let study = left.study;
    let scale = capture::Scale::read(left.layout)?;
    watch("reading activations");
    let readings = readings(left, &scale)?;
    let reported = study.reported(readings.layers.len());
    let options = DirectionOptions {
        nuisances: study.roles.nuisances.clone(),
        draws: study.draws(),
        tuned_draws: TUNED_DRAWS,
        choose_layer: true,
        ..DirectionOptions::default()
    };
    let found = measure(&readings, &[], &[], &options, watch)?;
    let geometry = geometry(
        &readings,
        &GeometryOptions {
            roles: study.roles.clone(),
            kinship: kinship(study),
            draws: study.draws(),
            at: reported.clone(),
        },
        watch,
    )?;
    watch("behaviour");
    let behaviour = of_behaviour(left)?;
    let conversations = of_conversations(left)?;
    watch("cause");
    let (ablations, doses) = of_cause(left)?;
    let trajectory =
        trajectory::measured(left.layout, study, &left.model.tokenizer, &readings.rms)?;
    let links = of_links(study, &geometry, &behaviour, &reported)?;
    let parts = Parts {
        geometry,
        behaviour,
        conversations,
        ablations,
        doses,
        trajectory: trajectory.unwrap_or_default(),
        links,
    };
    let results = assembled(left, &scale, &found, parts)?;
    Ok((readings, found, results))
}

/// Activations of every state.
fn readings(left: &Left, scale: &capture::Scale) -> Result<Readings, StudyError> {
    let (study, tok) = (left.study, &left.model.tokenizer);
    let texts = StateTexts::new(tok, &study.concepts, &[], None, true)?;
    let each = 0..study.states.len();
    Ok(Readings {
        states: study.states.clone(),
        layers: scale.layers.clone(),
        positions: POSITIONS.to_vec(),
        concepts: texts.concepts.iter().map(ConceptInfo::of).collect(),
        dev: texts.dev.iter().map(ConceptInfo::of).collect(),
        acts: each.map(|i| capture::read(left.layout, study, i)).collect::<Result<_, _>>()?,
        rms: scale.rms.clone(),
    })
}

fn kinship(study: &Study) -> Kinship {
    let conditions = study.conditions.iter().filter(|c| c.name != BASE);
    Kinship {
        conditions: conditions
            .map(|c| Kin {
                condition: c.name.clone(),
                rows: c.text.clone(),
                claim: about::claim(study, c),
                identity: c.identity,
            })
            .collect(),
        reference: Some(study.reference.clone()).filter(|r| r != BASE),
        focus: Some(study.focus.clone()),
        neutral: study.neutral.clone(),
    }
}

/// Every condition with what it is compared with: base, and the reference.
fn contrasts(study: &Study) -> Vec<(String, String)> {
    let sets: Vec<String> = study.conditions.iter().map(|c| c.name.clone()).collect();
    let mut references = vec![study.reference.clone()];
    if study.reference != BASE {
        references.push(BASE.into());
    }
    pairings(&sets, &references)
}

fn of_behaviour(left: &Left) -> Result<BehaviourRecords, StudyError> {
    let study = left.study;
    let scores = (study.states.iter())
        .map(|s| files::lines(left.layout, &layout::behaviour(&s.id)))
        .collect::<Result<Vec<Vec<PairScore>>, _>>()?;
    Ok(behaviour(&Behaviour {
        states: &study.states,
        scores: &scores,
        battery: &study.battery,
        claims: &study.claims,
        by: By::Condition,
        contrasts: &contrasts(study),
        draws: study.draws(),
    })?)
}

fn of_conversations(left: &Left) -> Result<ConversationRecords, StudyError> {
    let study = left.study;
    if study.written.conversations.is_none() {
        return Ok(ConversationRecords::default());
    }
    let held = (study.states.iter())
        .map(|s| converse::read(left.layout, &s.id))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(talked(&Talked {
        states: &study.states,
        held: &held,
        battery: &study.battery,
        by: By::Condition,
        contrasts: &contrasts(study),
        draws: study.draws(),
    })?)
}

/// Ablations of preferences and of the claim, and doses; empty where no cause is asked for.
fn of_cause(left: &Left) -> Result<(AblationRecords, DoseRecords), StudyError> {
    let study = left.study;
    let mut ablations = AblationRecords::default();
    let Some([focus, reference]) = study.sides() else {
        return Ok((ablations, DoseRecords::default()));
    };
    let (guards, draws) = (Guards::default(), study.draws());
    let isolated = about::isolated_in(study, &[&study.focus, &study.reference]);
    for (of_claim, asked) in study.asked().iter().enumerate() {
        if asked.is_empty() {
            continue;
        }
        let of = |states: &[usize]| {
            let id = |i: &usize| &study.states[*i].id;
            let each = states.iter().map(|i| ablate::read(left.layout, id(i), of_claim == 1));
            each.collect::<Result<Vec<_>, _>>()
        };
        let (tuned, against) = (of(&focus)?, of(&reference)?);
        let sides = Sides {
            set: &study.focus,
            reference: &study.reference,
            tuned: &tuned,
            against: &against,
            isolated: &isolated,
        };
        ablations.extend(judge_ablations(&sides, guards, draws)?);
    }
    let named = [PREFERENCES, CLAIM].into_iter().zip(dose::asked(study));
    let questions: Vec<(&str, Vec<String>)> = named
        .map(|(question, of)| (question, of.into_iter().map(|p| p.name).collect::<Vec<_>>()))
        .filter(|(_, of)| !of.is_empty())
        .collect();
    let dosed = dose::read(left.layout)?;
    Ok((ablations, judge_doses(&dosed, &questions, guards, draws)?))
}

fn of_links(
    study: &Study,
    geometry: &GeometryRecords,
    behaviour: &BehaviourRecords,
    layers: &[usize],
) -> Result<LinkRecords, StudyError> {
    let moved = behaviours(&behaviour.scores, &study.states);
    Ok(links(&LinkInput {
        states: &study.states,
        behaviour: &moved,
        shifts: &geometry.shifts,
        couplings: &geometry.coupling,
        couples: &study.roles.couples,
        position: &POSITIONS[0].to_string(),
        layers,
        order: &KNOWN_ORDER,
        seed: study.written.seed,
    })?)
}

/// What the analyses gave.
struct Parts {
    geometry: GeometryRecords,
    behaviour: BehaviourRecords,
    conversations: ConversationRecords,
    ablations: AblationRecords,
    doses: DoseRecords,
    trajectory: TrajectoryRecords,
    links: LinkRecords,
}

/// All records of the file, findings last: they are made of the others.
fn assembled(
    left: &Left,
    scale: &capture::Scale,
    found: &Directions,
    parts: Parts,
) -> Result<Results, StudyError> {
    let study = left.study;
    let reported = study.reported(scale.layers.len());
    let (g, b, d) = (parts.geometry, parts.behaviour, found.records.clone());
    let mut warnings = about::warnings(study, left.model, left.learnt);
    warnings.extend(g.warnings);
    warnings.extend(found.warnings(&reported));
    warnings.extend(b.warnings);
    warnings.extend(parts.ablations.warnings);
    warnings.extend(parts.doses.warnings);
    warnings.extend(parts.trajectory.warnings);
    warnings.extend(parts.links.warnings);
    let mut results = Results {
        states: about::states(study),
        conditions: about::conditions(study),
        concepts: study.roles.concept_rows(&study.concepts),
        couples: study.roles.couple_rows(),
        preferences: preference_rows(&study.battery),
        layers: about::layers(study, scale),
        training: about::training(study, left.layout)?,
        quality: d.quality,
        nuisances: d.nuisances,
        nuisance_cosines: d.nuisance_cosines,
        agreement: d.agreement,
        carried: d.carried,
        layer_choice: d.layer_choice,
        erasers: d.erasers,
        coupling: g.coupling,
        nulls: g.nulls,
        pair_nulls: g.pair_nulls,
        precision: g.precision,
        condition_coupling: g.conditions,
        changes: g.changes,
        shifts: g.shifts,
        poles: g.poles,
        shift_cosines: g.shift_cosines,
        stability: g.stability,
        alignment: g.alignment,
        transfer: g.transfer,
        overlap: g.overlap,
        regions: g.regions,
        modes: g.modes,
        null_states: g.null_states,
        scores: b.scores,
        contrasts: b.contrasts,
        claims: b.claims,
        took: b.took,
        one_factor: b.one_factor,
        conversations: parts.conversations.conversations,
        stickiness: parts.conversations.stickiness,
        turns: parts.conversations.turns,
        ablation: parts.ablations.ablations,
        ablated_states: parts.ablations.states,
        doses: parts.doses.doses,
        slopes: parts.doses.slopes,
        trajectory: parts.trajectory.steps,
        half_way: parts.trajectory.half_ways,
        leads: parts.trajectory.leads,
        links: parts.links.links,
        link_points: parts.links.points,
        rankings: parts.links.rankings,
        ..Results::default()
    };
    warnings.extend(doubts(&results));
    for warning in warnings {
        if !results.warnings.contains(&warning) {
            results.warnings.push(warning);
        }
    }
    (results.findings, results.references) = findings(&results);
    Ok(results)
}
