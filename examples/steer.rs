//! A direction added to the residual stream while the model answers, in units of the layer's RMS.
use residuum::analysis::{directions, DirectionOptions, Readings};
use residuum::capture::Position;
use residuum::materials::{load_concept, load_neutral_texts};
use residuum::model::generate::{respond, Sampling};
use residuum::model::{resolve, Hooks, Interventions, Loading, Model};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let (name, layer) = ("smollm2-135m-instruct", 10);
    let path = resolve::resolve(name, &mut |line| eprintln!("{line}"))?;
    let model = Model::load(name, &path, &Loading::default())?;
    let (concepts, neutral) = ([load_concept("sentiment")?], load_neutral_texts(None)?);
    let at = Position::ResponseMean;
    let readings = Readings::of_base(&model, &concepts, &neutral, &[layer], at)?;
    let options = DirectionOptions::default();
    let found = directions::measure(&readings, &[], &[], &options, &mut |_| ())?;
    let unit = found.direction(0, "sentiment", 0)?.direction.unit.to_vec();

    let prompt = [model.tokenizer.prompt(None, "How was the film?")?];
    let sampling = Sampling { max_tokens: 40, temperature: 0.0, top_p: 1.0 };
    let (decoder, eos) = (&model.decoder, model.tokenizer.eos());
    for dose in [0.0, 4.0, -4.0] {
        let edit = Interventions::none().add(layer, &unit, dose * readings.rms[0])?;
        let mut hooks = Hooks::none();
        edit.install(&mut hooks, decoder.layers(), decoder.hidden())?;
        let ids = respond(decoder, &prompt, eos, &sampling, &mut [], &mut hooks)?;
        let answer = model.tokenizer.decode(&ids[0])?;
        println!("{dose:+} layer RMS: {}", answer.trim());
    }
    Ok(())
}
