//! The front of a report: who, what, when, the score, the quality of the recording, and notes as long as they are.

use super::content::{Content, Fact, ShownScore, Signals};
use super::sheet::{Area, Fonts, Item, PALE, Sheet, Style};
use super::{ACCENT, BOTTOM, Colour, GREY, INK, LEFT, PAGE_HEAD, RIGHT, RULE, TOP, bold, regular};
use crate::domain::score::Band;

/// Height of the box with the scores, without cautions.
const SCORE_BOX: f32 = 134.0;
/// Between two lines of a caution, and how it looks.
const CAUTION_LEADING: f32 = 12.5;
const CAUTION: Style = bold(9.0, WARNING);
/// Between two lines of running text.
const LEADING: f32 = 13.5;
const TEXT: Style = regular(9.5, INK);
const WARNING: Colour = (0x9b, 0x1c, 0x1c);

/// Draws it on as many sheets as it needs.
pub(super) fn draw(fonts: &'static Fonts, content: &Content) -> Vec<Sheet> {
    let mut flow = Flow { fonts, done: Vec::new(), sheet: Sheet::new(fonts), y: TOP };
    title(&mut flow.sheet, content);
    flow.y = TOP + 58.0;
    let middle = (LEFT + RIGHT) / 2.0 + 10.0;
    let left = facts(&mut flow.sheet, (LEFT, flow.y), middle - LEFT - 20.0, "Patient", &content.patient);
    let right = facts(&mut flow.sheet, (middle, flow.y), RIGHT - middle, "Test", &content.test);
    flow.y = left.max(right) + 8.0;
    flow.y += scores(&mut flow.sheet, flow.y, content) + 24.0;

    flow.heading("Quality of the recording");
    for remark in &content.quality {
        flow.bullet(remark);
    }
    if let Signals::Absent(why) = &content.signals {
        flow.bullet(why);
    }
    flow.y += 12.0;
    flow.heading("Notes");
    match &content.notes {
        Some(notes) => flow.paragraphs(notes),
        None => flow.paragraphs("None."),
    }
    flow.done.push(flow.sheet);
    flow.done
}

fn title(sheet: &mut Sheet, content: &Content) {
    sheet.area(Area { x: LEFT, y: TOP - 8.0, width: 36.0, height: 3.0 }, ACCENT);
    sheet.text(LEFT, TOP + 10.0, bold(8.5, ACCENT), "MOVEMENT TEST REPORT");
    sheet.text_within(LEFT, TOP + 33.0, bold(21.0, INK), &content.title, RIGHT - LEFT - 170.0);
    sheet.text_ending(RIGHT, TOP + 33.0, regular(12.0, INK), &content.date);
    sheet.line((LEFT, TOP + 43.0), (RIGHT, TOP + 43.0), 0.8, INK);
}

/// A column of facts below its heading; gives where it ends.
fn facts(sheet: &mut Sheet, (x, top): (f32, f32), width: f32, heading: &str, facts: &[Fact]) -> f32 {
    let mut y = top + 6.0;
    sheet.text(x, y, bold(11.0, INK), heading);
    y += 17.0;
    for fact in facts {
        sheet.text(x, y, regular(7.5, GREY), fact.label);
        for line in sheet.fonts.wrap_into(3, &fact.value, regular(10.0, INK), width) {
            y += 12.0;
            sheet.text(x, y, regular(10.0, INK), &line);
        }
        y += 14.0;
    }
    y
}

/// The box with the scores; gives its height.
fn scores(sheet: &mut Sheet, top: f32, content: &Content) -> f32 {
    let cautions = cautions(sheet.fonts, content);
    let rows = u8::try_from(cautions.len()).unwrap_or(u8::MAX);
    let height = SCORE_BOX + if rows > 0 { f32::from(rows) * CAUTION_LEADING + 7.0 } else { 0.0 };
    sheet.area(Area { x: LEFT, y: top, width: RIGHT - LEFT, height }, PALE);
    if rows > 0 {
        sheet.area(Area { x: LEFT, y: top, width: 3.0, height }, WARNING);
    }
    for (row, line) in (0_u8..).zip(&cautions) {
        sheet.text(LEFT + 16.0, top + SCORE_BOX + 4.0 + CAUTION_LEADING * f32::from(row), CAUTION, line);
    }
    let (left, bar) = (LEFT + 16.0, LEFT + 150.0);
    sheet.text(left, top + 20.0, bold(11.0, INK), "Balance score");
    let (value, interval) = match &content.score {
        ShownScore::Scored { value, band, interval, lines, .. } => {
            let digits = value.to_string();
            sheet.text(left, top + 62.0, bold(38.0, INK), &digits);
            let after = left + sheet.fonts.width(&digits, bold(38.0, INK)) + 5.0;
            sheet.text(after, top + 62.0, regular(12.0, GREY), "of 100");
            sheet.text(left, top + 80.0, bold(10.0, colour(Band::of(f64::from(*value)))), &capital(band));
            let mut y = top + 80.0;
            for line in lines {
                sheet.text_within(bar, y, regular(8.5, INK), line, RIGHT - bar - 16.0);
                y += 12.0;
            }
            (Some(*value), *interval)
        }
        ShownScore::Absent(why) => {
            sheet.text(left, top + 58.0, bold(30.0, GREY), "–");
            let lines = sheet.fonts.wrap_into(3, why, regular(8.5, INK), RIGHT - bar - 16.0);
            for (row, line) in (0_u8..).zip(lines) {
                sheet.text(bar, top + 80.0 + 12.0 * f32::from(row), regular(8.5, INK), &line);
            }
            (None, None)
        }
    };
    let clinician = match content.clinician {
        Some(score) => format!("Clinician's score: {}", plain(score)),
        None => "Clinician's score: none".to_owned(),
    };
    sheet.text(left, top + 118.0, bold(9.5, INK), &clinician);
    scale(
        sheet,
        Area { x: bar, y: top + 32.0, width: RIGHT - bar - 16.0, height: 12.0 },
        value,
        interval,
        content.clinician,
    );
    height
}

/// What must be known before one relies on the score, in lines.
fn cautions(fonts: &Fonts, content: &Content) -> Vec<String> {
    let said: &[&str] = match &content.score {
        ShownScore::Scored { cautions, .. } => cautions,
        ShownScore::Absent(_) => &[],
    };
    said.iter().flat_map(|caution| fonts.wrap(caution, CAUTION, RIGHT - LEFT - 32.0)).collect()
}

/// The scale of 0 to 100 with its bands, the score and its interval above it, the clinician's score below it.
fn scale(sheet: &mut Sheet, bar: Area, value: Option<i32>, interval: Option<(f64, f64)>, clinician: Option<f64>) {
    #[expect(clippy::cast_possible_truncation, reason = "0 to 100")]
    let at = |score: f64| bar.x + bar.width * (score.clamp(0.0, 100.0) / 100.0) as f32;
    let mut end = 100.0;
    for (band, begin) in Band::ALL {
        let (left, right) = (at(begin), at(end));
        sheet.area(Area { x: left, y: bar.y, width: right - left, height: bar.height }, pale(band));
        sheet.text(left + 4.0, bar.y + 8.6, regular(7.0, INK), band.name());
        end = begin;
    }
    let below = bar.y + bar.height;
    for score in [0.0, 40.0, 60.0, 85.0, 100.0] {
        sheet.line((at(score), below), (at(score), below + 3.0), 0.5, GREY);
        sheet.text_around(at(score), below + 10.5, regular(7.0, GREY), &plain(score));
    }
    if let Some((lower, upper)) = interval {
        let y = bar.y - 6.0;
        sheet.line((at(lower), y), (at(upper), y), 1.4, INK);
        for end in [lower, upper] {
            sheet.line((at(end), y - 2.5), (at(end), y + 2.5), 1.4, INK);
        }
    }
    if let Some(value) = value {
        let (x, y) = (at(value.into()), bar.y - 6.0);
        sheet.area(Area { x: x - 1.6, y: y - 5.0, width: 3.2, height: bar.height + 11.0 }, INK);
        sheet.text_around(x, y - 8.0, bold(8.0, INK), &value.to_string());
    }
    if let Some(score) = clinician {
        let (x, y) = (at(score), below + 1.0);
        let runs = vec![vec![(x - 3.0, y + 5.0), (x, y), (x + 3.0, y + 5.0), (x - 3.0, y + 5.0)]];
        sheet.items.push(Item::Lines { runs, pen: 1.4, colour: ACCENT });
        let key = format!("▲ clinician {}", plain(score));
        sheet.text_ending(bar.x + bar.width, below + 22.0, regular(7.0, ACCENT), &key);
    }
}

fn colour(band: Band) -> Colour {
    match band {
        Band::Ok => (0x2c, 0x65, 0x4b),
        Band::Watch => (0x8a, 0x61, 0x00),
        Band::Low => (0xa6, 0x4b, 0x12),
        Band::VeryLow => WARNING,
    }
}

fn pale(band: Band) -> Colour {
    match band {
        Band::Ok => (0xcf, 0xe6, 0xda),
        Band::Watch => (0xf6, 0xea, 0xc4),
        Band::Low => (0xf6, 0xdb, 0xc4),
        Band::VeryLow => (0xf1, 0xcc, 0xcc),
    }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// A score with a decimal only where it has one.
fn plain(score: f64) -> String {
    let text = format!("{score:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

/// Running text over sheets.
struct Flow {
    fonts: &'static Fonts,
    done: Vec<Sheet>,
    sheet: Sheet,
    y: f32,
}

impl Flow {
    /// Goes to the next sheet where less than that height is left.
    fn keep(&mut self, height: f32) {
        if self.y + height > BOTTOM {
            self.done.push(std::mem::replace(&mut self.sheet, Sheet::new(self.fonts)));
            self.y = PAGE_HEAD + LEADING;
        }
    }

    fn heading(&mut self, text: &str) {
        // Not without the first lines of what it is above.
        self.keep(20.0 + 2.0 * LEADING);
        self.sheet.text(LEFT, self.y, bold(11.0, INK), text);
        self.sheet.line((LEFT, self.y + 5.0), (RIGHT, self.y + 5.0), 0.5, RULE);
        self.y += 20.0;
    }

    fn bullet(&mut self, text: &str) {
        for (index, line) in self.fonts.wrap(text, TEXT, RIGHT - LEFT - 12.0).iter().enumerate() {
            self.keep(0.0);
            if index == 0 {
                self.sheet.text(LEFT, self.y, regular(9.5, GREY), "•");
            }
            self.sheet.text(LEFT + 12.0, self.y, TEXT, line);
            self.y += LEADING;
        }
    }

    fn paragraphs(&mut self, text: &str) {
        for line in self.fonts.wrap(text.trim(), TEXT, RIGHT - LEFT) {
            self.keep(0.0);
            self.sheet.text(LEFT, self.y, TEXT, &line);
            self.y += LEADING;
        }
    }
}
