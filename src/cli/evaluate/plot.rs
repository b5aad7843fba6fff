//! Predictions with their intervals over true scores, a panel a series.

use super::Evaluation;
use anyhow::anyhow;
use plotters::prelude::*;
use stance_models::evaluation::{Held, Outcome};

/// Width and height of a panel, in pixels.
const PANEL: (u32, u32) = (640, 640);
/// Panels that are drawn at most: more are no plot any more.
const MAX_PANELS: usize = 24;
/// From where to where on both axes, in score points.
const SCORES: std::ops::Range<f64> = 0.0..100.0;
/// Colours of intervals and predictions: that hold the score, and that do not.
const HOLDS: RGBColor = RGBColor(60, 110, 180);
const MISSES: RGBColor = RGBColor(200, 60, 40);

/// The plot as SVG.
pub(super) fn draw(evaluations: &[Evaluation]) -> anyhow::Result<String> {
    let panels = evaluations.len().clamp(1, MAX_PANELS);
    let columns = panels.min(3);
    let rows = panels.div_ceil(columns);
    let mut svg = String::new();
    {
        let size = (PANEL.0 * columns as u32, PANEL.1 * rows as u32);
        let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        root.fill(&WHITE).map_err(|error| anyhow!("the plot cannot be drawn: {error}"))?;
        for (area, evaluation) in root.split_evenly((rows, columns)).iter().zip(evaluations) {
            panel(area, evaluation).map_err(|error| anyhow!("the plot cannot be drawn: {error}"))?;
        }
        root.present().map_err(|error| anyhow!("the plot cannot be drawn: {error}"))?;
    }
    Ok(svg)
}

fn panel<B: DrawingBackend>(
    area: &DrawingArea<B, plotters::coord::Shift>,
    evaluation: &Evaluation,
) -> Result<(), DrawingAreaErrorKind<B::ErrorType>> {
    // The first is the best that there is: with the prior, or without where there is none.
    let Some(outcome) = evaluation.outcomes.first() else { return Ok(()) };
    let title = format!("{}: {}, error {:.2}", evaluation.series, outcome.method.title(), outcome.mean_absolute_error);
    let mut chart = ChartBuilder::on(area)
        .caption(title, ("sans-serif", 18))
        .margin(16)
        .x_label_area_size(40)
        .y_label_area_size(48)
        .build_cartesian_2d(SCORES, SCORES)?;
    chart
        .configure_mesh()
        .x_desc("true score")
        .y_desc("predicted score, 90 % interval")
        .light_line_style(WHITE)
        .draw()?;
    chart.draw_series(LineSeries::new([(SCORES.start, SCORES.start), (SCORES.end, SCORES.end)], BLACK.mix(0.4)))?;
    let Outcome { predictions, .. } = outcome;
    chart.draw_series(predictions.iter().filter_map(|held| {
        let (low, high) = held.interval?;
        Some(PathElement::new([(held.score, low), (held.score, high)], colour(held).mix(0.5)))
    }))?;
    chart
        .draw_series(predictions.iter().map(|held| Circle::new((held.score, held.value), 3, colour(held).filled())))?;
    Ok(())
}

fn colour(held: &Held) -> RGBColor {
    let holds = held.interval.is_none_or(|(low, high)| (low..=high).contains(&held.score));
    if holds { HOLDS } else { MISSES }
}
