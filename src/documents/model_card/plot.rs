//! How far the scores of left-out recordings were off, as an SVG image within the page.

use plotters::prelude::*;

/// Width and height, in pixels of the page.
const SIZE: (u32, u32) = (680, 240);
/// Errors that are drawn at most: the newest.
const MOST: usize = 200;
/// Points of the score that the image reaches to at least, so that small errors look small.
const LEAST_REACH: f64 = 10.0;
/// Colours: of points, of the band of the interval.
const POINT: RGBColor = RGBColor(0x1f, 0x4e, 0x79);
const BAND: RGBColor = RGBColor(0xd9, 0xe6, 0xf2);
const GRID: RGBColor = RGBColor(0xe2, 0xe6, 0xeb);

/// The image, or nothing where there are no errors. Errors are predicted less true, in points of the score, the oldest recording
/// first; the band is `half_width` to either side of none.
pub(super) fn draw(errors: &[f64], half_width: f64) -> Option<String> {
    let errors = errors.get(errors.len().saturating_sub(MOST)..).filter(|errors| !errors.is_empty())?;
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        chart(&root, errors, half_width).ok()?;
        root.present().ok()?;
    }
    Some(svg)
}

fn chart<B: DrawingBackend>(
    area: &DrawingArea<B, plotters::coord::Shift>,
    errors: &[f64],
    half_width: f64,
) -> Result<(), DrawingAreaErrorKind<B::ErrorType>> {
    let largest = errors.iter().fold(half_width.max(LEAST_REACH), |largest, error| largest.max(error.abs()));
    let reach = (largest / 5.0).ceil() * 5.0 + 1.0;
    let last = f64::from(u32::try_from(errors.len()).unwrap_or_default());
    let mut chart = ChartBuilder::on(area)
        .margin(8)
        .x_label_area_size(36)
        .y_label_area_size(48)
        .build_cartesian_2d(0.5..last + 0.5, -reach..reach)?;
    chart.draw_series([Rectangle::new([(0.5, -half_width), (last + 0.5, half_width)], BAND.filled())])?;
    let whole = |value: &f64| format!("{value:.0}");
    let signed =
        |value: &f64| if *value > 0.0 { format!("+{value:.0}") } else { format!("{value:.0}").replace('-', "−") };
    chart
        .configure_mesh()
        .disable_x_mesh()
        .bold_line_style(GRID)
        .light_line_style(TRANSPARENT)
        .x_labels(errors.len().min(10))
        .y_labels(7)
        .x_label_formatter(&whole)
        .y_label_formatter(&signed)
        .x_desc("recording, oldest first")
        .y_desc("points off")
        .label_style(("sans-serif", 13))
        .axis_desc_style(("sans-serif", 13))
        .draw()?;
    let points = (1_u32..).map(f64::from).zip(errors.iter().copied());
    chart.draw_series(points.clone().map(|(at, error)| PathElement::new([(at, 0.0), (at, error)], POINT.mix(0.5))))?;
    chart.draw_series([PathElement::new([(0.5, 0.0), (last + 0.5, 0.0)], BLACK.mix(0.6))])?;
    chart.draw_series(points.map(|(at, error)| Circle::new((at, error), 4, POINT.filled())))?;
    Ok(())
}
