//! The report of a test event as PDF (PDF/A-2u, A4): what a clinician files.

mod bidi;
mod content;
mod front;
mod pdf;
mod plots;
mod sheet;
#[cfg(test)]
mod tests;

pub use content::Content;
pub use plots::areas as plot_areas;
pub use sheet::Area;

use super::wording::time;
use crate::domain::recording::Recording;
use chrono::{DateTime, Utc};
use sheet::{ACCENT, BOTTOM, Colour, GREY, HEIGHT, INK, LEFT, RIGHT, RULE, Sheet, TOP, bold, fonts, regular};

/// Where the content of every sheet but the first begins: below its head.
const PAGE_HEAD: f32 = TOP + 16.0;

/// Why there is no PDF.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The fonts that are compiled in cannot be read.
    #[error("the fonts cannot be read")]
    Fonts,
    /// The PDF cannot be written.
    #[error("the PDF cannot be written: {0}")]
    Pdf(String),
}

/// Draws a report. The same content, recording and time give the same bytes.
///
/// # Errors
/// [`ReportError`], which does not happen for a recording that was parsed.
pub fn render(
    content: &Content,
    recording: Option<&Recording>,
    made_at: DateTime<Utc>,
) -> Result<Vec<u8>, ReportError> {
    let fonts = fonts().ok_or(ReportError::Fonts)?;
    let mut sheets = front::draw(fonts, content);
    for sheet in sheets.iter_mut().skip(1) {
        head(sheet, content);
    }
    if let Some(recording) = recording.filter(|_| content.has_signals()) {
        let mut sheet = Sheet::new(fonts);
        head(&mut sheet, content);
        sheet.text(LEFT, PAGE_HEAD + 14.0, bold(13.0, INK), "Recorded signals");
        if let Some(first) = recording.texts().first().cloned().and_then(|mut texts| texts.next()) {
            let first = format!("First sample at {}", first.trim_matches('"'));
            sheet.text_ending(RIGHT, PAGE_HEAD + 14.0, regular(8.0, GREY), &first);
        }
        plots::draw(&mut sheet, recording);
        sheets.push(sheet);
    }
    let count = sheets.len();
    for (index, sheet) in sheets.iter_mut().enumerate() {
        foot(sheet, content, made_at, (index + 1, count));
    }
    pdf::write(&sheets, content, made_at)
}

/// The head of a sheet that is not the first: it says whose it is when it is found alone.
fn head(sheet: &mut Sheet, content: &Content) {
    let style = regular(8.0, GREY);
    sheet.text_within(LEFT, TOP - 4.0, bold(8.0, GREY), &content.who, 300.0);
    sheet.text_ending(RIGHT, TOP - 4.0, style, &format!("{} · {}", content.title, content.date));
    sheet.line((LEFT, TOP + 2.0), (RIGHT, TOP + 2.0), 0.5, RULE);
}

/// The foot of every sheet.
fn foot(sheet: &mut Sheet, content: &Content, made_at: DateTime<Utc>, (page, pages): (usize, usize)) {
    let (y, style) = (HEIGHT - 30.0, regular(7.5, GREY));
    sheet.line((LEFT, y - 11.0), (RIGHT, y - 11.0), 0.5, RULE);
    sheet.text(LEFT, y, style, &content::event_line(&content.id));
    sheet.text_around((LEFT + RIGHT) / 2.0 + 20.0, y, style, &format!("Made {}", time(made_at)));
    sheet.text_ending(RIGHT, y, style, &format!("Page {page} of {pages}"));
}
