//! The nine plots on one sheet: an axis each, a sensor after the other, over the time since the first sample.

use super::PAGE_HEAD;
use super::sheet::{ACCENT, Area, BOTTOM, Colour, GREY, INK, Item, LEFT, RIGHT, Sheet, bold, regular};
use crate::domain::recording::{AXES, Recording, gaps};

/// A sensor: its name, its unit, the colour of its lines.
const SENSORS: [(&str, &str, Colour); 3] = [
    ("Accelerometer, gravity included", "m/s²", ACCENT),
    ("Gyroscope", "rad/s", (0x8a, 0x3b, 0x12)),
    ("Magnetometer", "µT", (0x2c, 0x65, 0x4b)),
];
/// Where the first sensor begins.
const BEGIN: f32 = PAGE_HEAD + 30.0;
/// Of the name above a sensor's plots, and of the scale below them.
const NAME: f32 = 15.0;
const SCALE: f32 = 26.0;
/// Between two plots.
const BETWEEN: f32 = 5.0;
/// Left of a plot: its label and its numbers.
const GUTTER: f32 = 78.0;
const PLOT: f32 = (BOTTOM - BEGIN - 3.0 * (NAME + SCALE) - 6.0 * BETWEEN) / 9.0;
/// Columns of a plot: each shows the lowest and the highest value in it.
const COLUMNS: usize = 900;
/// The lines of numbers, behind those of the signal.
const GRID: Colour = (0xe2, 0xe6, 0xeb);
/// Pen of a line, points.
const PEN: f32 = 0.55;

/// Where the plots stand, in the order of [`AXES`].
#[must_use]
pub fn areas() -> [Area; 9] {
    let mut areas = [Area { x: LEFT + GUTTER, y: 0.0, width: RIGHT - LEFT - GUTTER, height: PLOT }; 9];
    let mut y = BEGIN;
    for sensor in areas.chunks_mut(3) {
        y += NAME;
        for area in sensor {
            area.y = y;
            y += PLOT + BETWEEN;
        }
        y += SCALE - BETWEEN;
    }
    areas
}

/// Draws them.
pub(super) fn draw(sheet: &mut Sheet, recording: &Recording) {
    let seconds = recording.seconds();
    let times = running_latest(&seconds);
    let longest = times.last().copied().unwrap_or_default();
    let end = if longest > 0.0 { longest } else { 1.0 };
    let breaks = breaks(recording);
    let areas = areas();
    for (sensor, (areas, names)) in SENSORS.iter().zip(areas.chunks(3).zip(AXES.chunks(3))) {
        let (name, unit, colour) = *sensor;
        if let Some(first) = areas.first() {
            sheet.text(LEFT, first.y - 5.0, bold(9.0, INK), name);
        }
        for (area, axis) in areas.iter().zip(names) {
            let index = AXES.iter().position(|known| known == axis).unwrap_or_default();
            let Some(values) = recording.axes().get(index) else { continue };
            let range = range(values);
            frame(sheet, area, axis, unit, range);
            upright(sheet, area, end);
            let runs = trace(&times, values, &breaks, (end, range), area);
            sheet.items.push(Item::Lines { runs, pen: PEN, colour });
        }
        if let Some(last) = areas.last() {
            scale(sheet, last, end);
        }
    }
}

/// Time never goes back in a plot: a sample is drawn no earlier than the one before.
fn running_latest(seconds: &[f64]) -> Vec<f64> {
    let mut latest = 0.0_f64;
    seconds
        .iter()
        .map(|second| {
            latest = latest.max(*second);
            latest
        })
        .collect()
}

/// Where a line breaks: before each of these samples there is a gap, as the quality report counts them.
fn breaks(recording: &Recording) -> Vec<bool> {
    std::iter::once(false).chain(gaps(recording)).collect()
}

/// The range that a plot shows: that of the values with a margin, and never empty.
fn range(values: &[f64]) -> (f64, f64) {
    let (low, high) = values
        .iter()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(*value), high.max(*value)));
    let margin = (high / 2.0 - low / 2.0) * 0.12;
    if margin > f64::MIN_POSITIVE {
        ((low - margin).max(f64::MIN), (high + margin).min(f64::MAX))
    } else {
        let margin = (low.abs() * 0.1).max(1.0);
        (low - margin, high + margin)
    }
}

/// Where a value lies between the ends of a range, 0 to 1. Halved first: the difference of two doubles may be none.
#[expect(clippy::cast_possible_truncation, reason = "between 0 and 1")]
fn place(value: f64, (low, high): (f64, f64)) -> f32 {
    ((value / 2.0 - low / 2.0) / (high / 2.0 - low / 2.0)).clamp(0.0, 1.0) as f32
}

/// The lines through the samples: of each column the first, the lowest, the highest and the last, in the order in which
/// they come.
fn trace(
    times: &[f64],
    values: &[f64],
    breaks: &[bool],
    (end, range): (f64, (f64, f64)),
    area: &Area,
) -> Vec<Vec<(f32, f32)>> {
    let point = |index: usize| -> Option<(f32, f32)> {
        let x = area.x + place(*times.get(index)?, (0.0, end)) * area.width;
        Some((x, area.y + (1.0 - place(*values.get(index)?, range)) * area.height))
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "of 0 to 1"
    )]
    let column = |index: usize| times.get(index).map(|time| (place(*time, (0.0, end)) * COLUMNS as f32) as usize);
    let mut runs = Vec::new();
    let mut run = Vec::new();
    let mut begin = 0;
    while begin < values.len() {
        let here = column(begin);
        let mut after = begin + 1;
        while after < values.len() && column(after) == here && !breaks.get(after).copied().unwrap_or_default() {
            after += 1;
        }
        let of = |pick: fn(&f64, &f64) -> std::cmp::Ordering| {
            (begin..after).max_by(|a, b| match (values.get(*a), values.get(*b)) {
                (Some(a), Some(b)) => pick(a, b),
                _ => std::cmp::Ordering::Equal,
            })
        };
        let (highest, lowest) = (of(f64::total_cmp), of(|a, b| b.total_cmp(a)));
        let mut kept = [Some(begin), lowest, highest, Some(after - 1)].into_iter().flatten().collect::<Vec<_>>();
        kept.sort_unstable();
        kept.dedup();
        run.extend(kept.into_iter().filter_map(point));
        if after >= values.len() || breaks.get(after).copied().unwrap_or_default() {
            runs.push(visible(std::mem::take(&mut run)));
        }
        begin = after;
    }
    runs
}

/// A run of one point as a short stroke.
fn visible(mut run: Vec<(f32, f32)>) -> Vec<(f32, f32)> {
    if let [(x, y)] = *run.as_slice() {
        run = vec![(x - 0.6, y), (x + 0.6, y)];
    }
    run
}

/// The frame of a plot, its label, and the lines of its values.
fn frame(sheet: &mut Sheet, area: &Area, axis: &str, unit: &str, range: (f64, f64)) {
    let (left, right) = (area.x, area.x + area.width);
    sheet.text(LEFT, area.y + area.height / 2.0 + 1.0, bold(9.5, INK), axis);
    sheet.text(LEFT + 19.0, area.y + area.height / 2.0 + 1.0, regular(7.5, GREY), unit);
    let (step, decimals) = two_ticks(range);
    for value in ticks(range, step) {
        let y = area.y + (1.0 - place(value, range)) * area.height;
        sheet.line((left, y), (right, y), 0.4, GRID);
        sheet.text_ending(left - 4.0, y + 2.3, regular(6.5, GREY), &number(value, decimals));
    }
    let corners = [(left, area.y), (right, area.y), (right, area.y + area.height), (left, area.y + area.height)];
    let runs = vec![corners.into_iter().chain([(left, area.y)]).collect()];
    sheet.items.push(Item::Lines { runs, pen: 0.5, colour: (0x9a, 0xa4, 0xb0) });
}

/// The lines of the times.
fn upright(sheet: &mut Sheet, area: &Area, end: f64) {
    for second in ticks((0.0, end), step(end, 10.0).0) {
        let x = area.x + place(second, (0.0, end)) * area.width;
        sheet.line((x, area.y), (x, area.y + area.height), 0.4, GRID);
    }
}

/// The numbers of the times, below the last plot of a sensor.
fn scale(sheet: &mut Sheet, area: &Area, end: f64) {
    let (step, decimals) = step(end, 10.0);
    let y = area.y + area.height;
    for second in ticks((0.0, end), step) {
        let x = area.x + place(second, (0.0, end)) * area.width;
        sheet.line((x, y), (x, y + 2.5), 0.5, GREY);
        sheet.text_around(x, y + 9.5, regular(6.5, GREY), &number(second, decimals));
    }
    sheet.text_ending(area.x - 12.0, y + 9.5, regular(6.5, GREY), "time (s)");
}

/// A round step of 1, 2 or 5 that divides a span into about so many parts, and the decimals that its multiples need.
fn step(span: f64, parts: f64) -> (f64, usize) {
    let rough = span / parts;
    let power = rough.log10().floor();
    let unit = 10.0_f64.powf(power);
    let times = [1.0, 2.0, 5.0].into_iter().find(|times| times * unit >= rough * 0.999);
    let power = if times.is_none() { power + 1.0 } else { power };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 6")]
    let decimals = (-power).clamp(0.0, 6.0) as usize;
    (times.unwrap_or(10.0) * unit, decimals)
}

/// The step of a value scale, small enough for two numbers to stand at it.
fn two_ticks(range: (f64, f64)) -> (f64, usize) {
    let span = (range.1 / 2.0 - range.0 / 2.0) * 2.0;
    let steps = [3.0, 4.0, 6.0].map(|parts| step(span, parts));
    let [.., finest] = steps;
    steps.into_iter().find(|(step, _)| ticks(range, *step).nth(1).is_some()).unwrap_or(finest)
}

/// The multiples of a step within a range, at most 20.
fn ticks((low, high): (f64, f64), step: f64) -> impl Iterator<Item = f64> {
    let first = (low / step).ceil();
    (0..20_u32)
        .map(move |tick| (first + f64::from(tick)) * step)
        .take_while(move |value| *value <= high && value.is_finite())
}

/// A number with a minus that is one.
fn number(value: f64, decimals: usize) -> String {
    let small = value.abs() < 1e-6 && value != 0.0;
    let text = if small || value.abs() >= 1e6 { format!("{value:.1e}") } else { format!("{value:.decimals$}") };
    let zero = text.trim_start_matches('-').chars().all(|letter| matches!(letter, '0' | '.'));
    if zero { text.trim_start_matches('-').to_owned() } else { text.replace('-', "−") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::recording::assess;

    #[test]
    fn steps_are_round_and_ticks_lie_within() {
        for (span, parts, expected) in [(60.0, 10.0, (10.0, 0)), (7.0, 10.0, (1.0, 0)), (0.9, 3.0, (0.5, 1))] {
            let (found, decimals) = step(span, parts);
            assert!((found - expected.0).abs() < 1e-9 && decimals == expected.1, "{span}: {found} {decimals}");
        }
        assert_eq!(ticks((-1.2, 2.9), 1.0).collect::<Vec<_>>(), [-1.0, 0.0, 1.0, 2.0]);
        assert_eq!([number(-0.5, 1), number(-0.0, 1), number(12.0, 0)], ["−0.5", "0.0", "12"]);
    }

    #[test]
    fn a_peak_of_one_sample_stays() {
        let count = 100_000;
        let times: Vec<f64> = (0..count).map(|index| f64::from(index) * 0.01).collect();
        let mut values = vec![0.0; times.len()];
        values[54_321] = 9.0;
        let area = areas()[0];
        let runs = trace(&times, &values, &vec![false; times.len()], (999.99, (-1.0, 10.0)), &area);
        let highest = runs.iter().flatten().map(|(_, y)| *y).fold(f32::INFINITY, f32::min);
        assert!((highest - (area.y + area.height / 11.0)).abs() < 0.1, "{highest}");
        assert!(runs.iter().map(Vec::len).sum::<usize>() < 4 * (COLUMNS + 1));
    }

    #[test]
    fn lines_break_at_the_gaps_that_the_quality_report_counts() {
        // A clock that is set back, and again to the right time: what is drawn stands still, what is counted does not.
        let seconds = [0.0, 0.01, 0.02, 0.03, -5.0, -4.99, -4.98, 0.04, 0.05, 0.5, 0.51];
        let ts: Vec<String> =
            seconds.iter().map(|second: &f64| format!("2023-04-25 12:00:{:09.6} +00:00", second + 10.0)).collect();
        let axis = vec![1.0; ts.len()];
        let document = serde_json::json!({
            "user_id": "p-1", "movement": "sit-to-stand", "testID": "7a96f43b-53d5-45e6-9bd4-5318036dae55",
            "training": false, "start_date": "2023-4-25", "ts": ts, "ax": axis, "ay": axis, "az": axis,
            "gx": axis, "gy": axis, "gz": axis, "mx": axis, "my": axis, "mz": axis,
        });
        let recording = crate::domain::recording::parse(document.to_string().into()).unwrap();
        let breaks = breaks(&recording);
        assert_eq!(breaks.len(), recording.len());
        assert!(breaks[7] && breaks[9]);
        assert_eq!(breaks.into_iter().filter(|gap| *gap).count(), assess(&recording).gaps);
    }

    #[test]
    fn a_line_breaks_at_a_gap_and_extremes_are_places() {
        let times = [0.0, 0.01, 0.02, 0.5, 0.51];
        let breaks = [false, false, false, true, false];
        let runs = trace(&times, &[1.0, 2.0, 3.0, 4.0, 5.0], &breaks, (0.51, (0.0, 6.0)), &areas()[0]);
        assert_eq!(runs.iter().map(Vec::len).collect::<Vec<_>>(), [3, 2]);
        for values in [vec![f64::MAX, f64::MIN], vec![1e-320, 0.0], vec![5.0, 5.0], vec![f64::MAX, f64::MAX]] {
            let range = range(&values);
            for value in values {
                assert!((0.0..=1.0).contains(&place(value, range)), "{value} {range:?}");
            }
        }
    }
}
