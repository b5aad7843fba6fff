//! Sheets as PDF.

use super::bidi::{Direction, runs};
use super::content::{Content, document_title};
use super::sheet::{Area, Colour, Fonts, HEIGHT, Item, Sheet, WIDTH};
use super::{ReportError, fonts};
use chrono::{DateTime, Datelike, Timelike, Utc};
use krilla::color::rgb;
use krilla::configure::{Archival, ConfigurationBuilder};
use krilla::geom::{Path, PathBuilder, Point, Rect};
use krilla::metadata::Metadata;
use krilla::num::NormalizedF32;
use krilla::page::PageSettings;
use krilla::paint::{Fill, FillRule, LineCap, LineJoin, Stroke};
use krilla::surface::Surface;
use krilla::text::TextDirection;
use krilla::{Document, SerializeSettings};

/// Writes them: as PDF/A-2u, which can be read for ever, with all its text as text.
pub(super) fn write(sheets: &[Sheet], content: &Content, made_at: DateTime<Utc>) -> Result<Vec<u8>, ReportError> {
    let failed = |error: &dyn std::fmt::Debug| ReportError::Pdf(format!("{error:?}"));
    let fonts = fonts().ok_or(ReportError::Fonts)?;
    let configuration = ConfigurationBuilder::new().with_archival_validator(Archival::A2_U).finish();
    let configuration = configuration.map_err(|error| failed(&error))?;
    let settings = SerializeSettings { configuration, ..SerializeSettings::default() };
    let mut document = Document::new_with(settings);
    for sheet in sheets {
        let size = PageSettings::from_wh(WIDTH, HEIGHT).ok_or_else(|| failed(&"page"))?;
        let mut page = document.start_page_with(size);
        let mut surface = page.surface();
        for item in &sheet.items {
            draw(&mut surface, fonts, item);
        }
        surface.finish();
        page.finish();
    }
    document.set_metadata(metadata(content, made_at));
    document.finish().map_err(|error| failed(&error))
}

fn metadata(content: &Content, made_at: DateTime<Utc>) -> Metadata {
    let small = |number: u32| u8::try_from(number).unwrap_or_default();
    let date = krilla::metadata::DateTime::new(u16::try_from(made_at.year()).unwrap_or_default())
        .month(small(made_at.month()))
        .day(small(made_at.day()))
        .hour(small(made_at.hour()))
        .minute(small(made_at.minute()))
        .second(small(made_at.second()))
        .utc_offset_hour(0)
        .utc_offset_minute(0);
    Metadata::new()
        .title(document_title(content))
        .language("en".to_owned())
        .creator(format!("Stance {}", env!("CARGO_PKG_VERSION")))
        .keywords(vec![content.mark()])
        .document_id(content.id.clone())
        .creation_date(date)
}

fn draw(surface: &mut Surface<'_>, fonts: &Fonts, item: &Item) {
    match item {
        Item::Text { x, y, style, text } => {
            surface.set_stroke(None);
            surface.set_fill(Some(fill(style.colour)));
            let cut = fonts.cut(style.weight);
            let mut x = *x;
            for run in runs(text) {
                let direction = match run.direction {
                    Direction::Rightwards => TextDirection::LeftToRight,
                    Direction::Leftwards => TextDirection::RightToLeft,
                };
                let start = Point::from_xy(x, *y);
                surface.draw_text(start, cut.font.clone(), style.size, run.text, false, direction);
                x += cut.drawn_width(run) * style.size;
            }
        }
        Item::Lines { runs, pen, colour } => {
            if let Some(path) = path(runs) {
                surface.set_fill(None);
                surface.set_stroke(Some(stroke(*pen, *colour)));
                surface.draw_path(&path);
            }
        }
        Item::Area { area: Area { x, y, width, height }, colour } => {
            if let Some(rectangle) = Rect::from_xywh(*x, *y, *width, *height) {
                let mut builder = PathBuilder::new();
                builder.push_rect(rectangle);
                if let Some(path) = builder.finish() {
                    surface.set_stroke(None);
                    surface.set_fill(Some(fill(*colour)));
                    surface.draw_path(&path);
                }
            }
        }
    }
}

fn path(runs: &[Vec<(f32, f32)>]) -> Option<Path> {
    let mut builder = PathBuilder::new();
    for run in runs {
        let mut points = run.iter();
        if let Some((x, y)) = points.next() {
            builder.move_to(*x, *y);
        }
        for (x, y) in points {
            builder.line_to(*x, *y);
        }
    }
    builder.finish()
}

fn fill((red, green, blue): Colour) -> Fill {
    Fill { paint: rgb::Color::new(red, green, blue).into(), opacity: NormalizedF32::ONE, rule: FillRule::NonZero }
}

fn stroke(width: f32, (red, green, blue): Colour) -> Stroke {
    Stroke {
        paint: rgb::Color::new(red, green, blue).into(),
        width,
        line_cap: LineCap::Butt,
        line_join: LineJoin::Round,
        ..Stroke::default()
    }
}
