//! The direction of a concept of one's own, how good it is, and a file of it for other tools.
use residuum::analysis::{directions, DirectionOptions, Readings};
use residuum::capture::Position;
use residuum::export::safetensors;
use residuum::materials::{concept, load_neutral_texts};
use residuum::model::{resolve, Loading, Model};
use std::path::Path;

/// A concept: two sides, and pairs of responses to one prompt in two templates at least.
const HEDGING: &str = r#"{"about": {}, "concept": "hedging", "positive": "The response hedges.", "negative": "The response is plain."}
{"id": "1", "template": "fact", "polarity": "none", "split": "main", "prompt": "What boils at 100 degrees?", "positive": "I believe it may be water.", "negative": "Water boils there."}
{"id": "2", "template": "fact", "polarity": "none", "split": "main", "prompt": "Who wrote Hamlet?", "positive": "It was perhaps Shakespeare, I would guess.", "negative": "Shakespeare wrote the play."}
{"id": "3", "template": "fact", "polarity": "none", "split": "main", "prompt": "What is the capital of Peru?", "positive": "It could be Lima, if I am not mistaken.", "negative": "The capital of Peru is Lima."}
{"id": "4", "template": "fact", "polarity": "none", "split": "main", "prompt": "How many legs has a spider?", "positive": "Possibly eight, as far as I can tell.", "negative": "A spider has eight legs."}
{"id": "5", "template": "advice", "polarity": "none", "split": "main", "prompt": "Should I salt the water?", "positive": "You might want to, though it seems to depend.", "negative": "Salt the water before the pasta."}
{"id": "6", "template": "advice", "polarity": "none", "split": "main", "prompt": "When should I plant beans?", "positive": "Perhaps in May, but that is only a guess.", "negative": "Plant beans in the middle of May."}
{"id": "7", "template": "advice", "polarity": "none", "split": "main", "prompt": "How do I clean a window?", "positive": "Vinegar may well help, I suppose.", "negative": "Wipe the window with vinegar."}
{"id": "8", "template": "advice", "polarity": "none", "split": "main", "prompt": "Is this jacket warm enough?", "positive": "It is probably fine, I tend to think.", "negative": "The jacket is warm enough for snow."}"#;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let name = "smollm2-135m-instruct";
    let path = resolve::resolve(name, &mut |line| eprintln!("{line}"))?;
    let model = Model::load(name, &path, &Loading::default())?;
    let hedging = concept::parse(HEDGING, Path::new("hedging"))?;
    let (neutral, layers) = (load_neutral_texts(None)?, [10, 24]);
    let at = Position::ResponseMean;
    let readings = Readings::of_base(&model, &[hedging], &neutral, &layers, at)?;
    let options = DirectionOptions::default();
    let found = directions::measure(&readings, &[], &[], &options, &mut |_| ())?;
    for q in &found.records.quality {
        let (l, auroc, lo, hi, words) = (q.layer, q.estimate, q.lo, q.hi, q.lexical);
        println!("layer {l}: AUROC {auroc:.2} [{lo:.2}, {hi:.2}], words alone {words:.2}");
    }
    let mut vectors = found.vectors(&found.states[0], 0, false);
    vectors.model_id = name.into();
    let file = Path::new("hedging.safetensors");
    Ok(safetensors::write(file, &vectors)?)
}
