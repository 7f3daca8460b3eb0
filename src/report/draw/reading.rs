//! Texts token by token on directions.

use super::Drawing;
use crate::analysis::records::{distinct, Results, TokenProjectionRow};
use crate::figures::tokens::{TokensData, TokensPanel};
use crate::figures::{tokens, FigureError};

/// Most panels, and most tokens of one.
const PANELS: usize = 12;
const TOKENS: usize = 400;

/// Draws what this file holds.
pub fn draw(d: &mut Drawing) -> Result<(), FigureError> {
    d.keep(tokens::draw(&by_token(d.r), d.out))
}

fn by_token(r: &Results) -> TokensData {
    let key = |t: &TokenProjectionRow| (t.state.clone(), t.text.clone(), t.vector.clone(), t.layer);
    let keys = distinct(r.token_projections.iter().map(key));
    let all = keys.len();
    let mut longest = 0;
    let panels = keys.into_iter().take(PANELS).map(|own| {
        let rows = r.token_projections.iter().filter(|t| key(t) == own);
        let tokens: Vec<(String, f64)> = rows.map(|t| (t.token.clone(), t.in_rms)).collect();
        longest = longest.max(tokens.len());
        let (state, text, vector, layer) = own;
        TokensPanel {
            title: format!("{text} on {vector}, layer {layer}, {state}"),
            tokens: tokens.into_iter().take(TOKENS).collect(),
        }
    });
    let panels: Vec<TokensPanel> = panels.collect();
    let mut caption = "The residual stream of each token after a block, times the unit vector, in units of the layer's RMS: one reading a token, without an interval. The colours leave out the first token, an attention sink.".to_owned();
    if all > PANELS {
        caption += &format!(" The first {PANELS} of {all}; the others are in the table.");
    }
    if longest > TOKENS {
        caption += &format!(" The first {TOKENS} tokens of each text.");
    }
    TokensData {
        name: "tokens".into(),
        title: "Texts token by token".into(),
        caption,
        value_label: "projection (layer RMS)".into(),
        panels,
    }
}
