//! Sheets of paper: what stands where, in points from the top left corner, before it becomes a PDF. Lines of text are
//! measured and broken here.

use super::bidi::{Direction, Run};
use krilla::Data;
use krilla::text::Font;
use rustybuzz::UnicodeBuffer;
use std::sync::LazyLock;
use ttf_parser::Face;

/// A4, points.
pub(super) const WIDTH: f32 = 595.276;
pub(super) const HEIGHT: f32 = 841.89;
/// Where content begins and ends.
pub(super) const LEFT: f32 = 48.0;
pub(super) const RIGHT: f32 = WIDTH - 48.0;
pub(super) const TOP: f32 = 48.0;
pub(super) const BOTTOM: f32 = HEIGHT - 56.0;

/// Red, green, blue.
pub(super) type Colour = (u8, u8, u8);

pub(super) const INK: Colour = (0x1c, 0x22, 0x2b);
pub(super) const GREY: Colour = (0x5f, 0x6b, 0x7a);
pub(super) const RULE: Colour = (0xc9, 0xd0, 0xd8);
pub(super) const PALE: Colour = (0xf3, 0xf5, 0xf8);
pub(super) const ACCENT: Colour = (0x1f, 0x4e, 0x79);

/// How text looks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Style {
    pub(super) weight: Weight,
    /// Points.
    pub(super) size: f32,
    pub(super) colour: Colour,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Weight {
    Regular,
    Bold,
}

pub(super) const fn regular(size: f32, colour: Colour) -> Style {
    Style { weight: Weight::Regular, size, colour }
}

pub(super) const fn bold(size: f32, colour: Colour) -> Style {
    Style { weight: Weight::Bold, size, colour }
}

/// Something on a sheet.
pub(super) enum Item {
    /// A line of text on the baseline `y`, beginning at `x`.
    Text { x: f32, y: f32, style: Style, text: String },
    /// Lines through points, drawn with a pen.
    Lines { runs: Vec<Vec<(f32, f32)>>, pen: f32, colour: Colour },
    /// A filled rectangle.
    Area { area: Area, colour: Colour },
}

/// A rectangle, points from the top left corner.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Area {
    /// Left edge.
    pub x: f32,
    /// Upper edge.
    pub y: f32,
    /// Width.
    pub width: f32,
    /// Height.
    pub height: f32,
}

/// A typeface in one weight.
pub(super) struct Cut {
    pub(super) font: Font,
    face: Face<'static>,
    shaper: rustybuzz::Face<'static>,
}

impl Cut {
    /// Width of a run as it is drawn, in parts of the size: letters that join are not as wide as letters that stand alone.
    pub(super) fn drawn_width(&self, run: Run<'_>) -> f32 {
        let mut letters = UnicodeBuffer::new();
        letters.push_str(run.text);
        letters.guess_segment_properties();
        letters.set_direction(match run.direction {
            Direction::Rightwards => rustybuzz::Direction::LeftToRight,
            Direction::Leftwards => rustybuzz::Direction::RightToLeft,
        });
        let glyphs = rustybuzz::shape(&self.shaper, &[], letters);
        #[expect(clippy::cast_precision_loss, reason = "a line has few letters")]
        let width = glyphs.glyph_positions().iter().map(|position| position.x_advance as f32).sum::<f32>();
        width / f32::from(self.face.units_per_em())
    }
}

/// The fonts: DejaVu Sans Condensed, which has Latin with all its accents, Greek, Cyrillic, Armenian, Georgian, Hebrew and
/// Arabic.
pub(super) struct Fonts {
    regular: Cut,
    bold: Cut,
}

/// The fonts, read once.
pub(super) fn fonts() -> Option<&'static Fonts> {
    static FONTS: LazyLock<Option<Fonts>> = LazyLock::new(|| {
        Some(Fonts { regular: cut(dejavu::sans_condensed::regular())?, bold: cut(dejavu::sans_condensed::bold())? })
    });
    FONTS.as_ref()
}

fn cut(bytes: &'static [u8]) -> Option<Cut> {
    Some(Cut {
        font: Font::new(Data::from(bytes), 0)?,
        face: Face::parse(bytes, 0).ok()?,
        shaper: rustybuzz::Face::from_slice(bytes, 0)?,
    })
}

impl Fonts {
    pub(super) fn cut(&self, weight: Weight) -> &Cut {
        match weight {
            Weight::Regular => &self.regular,
            Weight::Bold => &self.bold,
        }
    }

    /// Width of a text, points.
    pub(super) fn width(&self, text: &str, style: Style) -> f32 {
        text.chars().map(|letter| self.advance(letter, style)).sum()
    }

    fn advance(&self, letter: char, style: Style) -> f32 {
        let face = &self.cut(style.weight).face;
        let advance = face.glyph_index(letter).and_then(|glyph| face.glyph_hor_advance(glyph)).unwrap_or_default();
        f32::from(advance) / f32::from(face.units_per_em()) * style.size
    }

    /// The text with what cannot be drawn replaced: U+FFFD for a letter that the fonts do not have, a space for a tab or a
    /// line end, nothing for what only steers.
    pub(super) fn clean(&self, text: &str) -> String {
        text.chars()
            .filter_map(|letter| match letter {
                '\t' | '\n' | '\r' | '\u{2028}' | '\u{2029}' => Some(' '),
                '\u{ad}'
                | '\u{200b}'..='\u{200f}'
                | '\u{202a}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fe00}'..='\u{fe0f}' => None,
                letter if letter.is_control() => None,
                letter if self.has(letter) => Some(letter),
                _ => Some(char::REPLACEMENT_CHARACTER),
            })
            .collect()
    }

    fn has(&self, letter: char) -> bool {
        let private = matches!(letter, '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..='\u{10ffff}');
        !private && [&self.regular, &self.bold].into_iter().all(|cut| cut.face.glyph_index(letter).is_some())
    }

    /// The text in at most so many lines; where that is not all of it, the last ends with an ellipsis.
    pub(super) fn wrap_into(&self, most: usize, text: &str, style: Style, width: f32) -> Vec<String> {
        let mut lines = self.wrap(text, style, width);
        if lines.len() > most {
            lines.truncate(most);
            if let Some(last) = lines.last_mut() {
                let dots = self.width("…", style);
                while self.width(last, style) + dots > width && last.pop().is_some() {}
                last.truncate(last.trim_end().len());
                last.push('…');
            }
        }
        lines
    }

    /// The text in lines that are no wider than `width`; its own line ends are kept. A word that is wider is broken.
    pub(super) fn wrap(&self, text: &str, style: Style, width: f32) -> Vec<String> {
        let mut lines = Vec::new();
        for paragraph in text.split(['\n', '\u{2028}', '\u{2029}']) {
            let paragraph = self.clean(paragraph);
            let mut line = String::new();
            let mut used = 0.0;
            for word in paragraph.split_whitespace() {
                let wide = self.width(word, style);
                let space = if line.is_empty() { 0.0 } else { self.advance(' ', style) };
                if used + space + wide <= width {
                    if !line.is_empty() {
                        line.push(' ');
                    }
                    line.push_str(word);
                    used += space + wide;
                    continue;
                }
                if !line.is_empty() {
                    lines.push(std::mem::take(&mut line));
                }
                used = 0.0;
                for letter in word.chars() {
                    let advance = self.advance(letter, style);
                    // Not before an accent, which has no width of its own.
                    if used + advance > width && advance > 0.0 && !line.is_empty() {
                        lines.push(std::mem::take(&mut line));
                        used = 0.0;
                    }
                    line.push(letter);
                    used += advance;
                }
            }
            lines.push(line);
        }
        lines
    }
}

/// A sheet that is being filled.
pub(super) struct Sheet {
    pub(super) fonts: &'static Fonts,
    pub(super) items: Vec<Item>,
}

impl Sheet {
    pub(super) fn new(fonts: &'static Fonts) -> Self {
        Self { fonts, items: Vec::new() }
    }

    /// A line of text that begins at `x`.
    pub(super) fn text(&mut self, x: f32, y: f32, style: Style, text: &str) {
        let text = self.fonts.clean(text);
        if !text.trim().is_empty() {
            self.items.push(Item::Text { x, y, style, text });
        }
    }

    /// A line of text that ends at `x`.
    pub(super) fn text_ending(&mut self, x: f32, y: f32, style: Style, text: &str) {
        let width = self.fonts.width(&self.fonts.clean(text), style);
        self.text(x - width, y, style, text);
    }

    /// A line of text around `x`.
    pub(super) fn text_around(&mut self, x: f32, y: f32, style: Style, text: &str) {
        let width = self.fonts.width(&self.fonts.clean(text), style);
        self.text(x - width / 2.0, y, style, text);
    }

    /// A line of text that is cut where it would be wider than `width`.
    pub(super) fn text_within(&mut self, x: f32, y: f32, style: Style, text: &str, width: f32) {
        let clean = self.fonts.clean(text);
        if self.fonts.width(&clean, style) <= width {
            return self.text(x, y, style, &clean);
        }
        let mut kept = String::new();
        let mut used = self.fonts.width("…", style);
        for letter in clean.chars() {
            used += self.fonts.advance(letter, style);
            if used > width {
                break;
            }
            kept.push(letter);
        }
        self.text(x, y, style, &format!("{}…", kept.trim_end()));
    }

    pub(super) fn line(&mut self, from: (f32, f32), to: (f32, f32), pen: f32, colour: Colour) {
        self.items.push(Item::Lines { runs: vec![vec![from, to]], pen, colour });
    }

    pub(super) fn area(&mut self, area: Area, colour: Colour) {
        self.items.push(Item::Area { area, colour });
    }
}
