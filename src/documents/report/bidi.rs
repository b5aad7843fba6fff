//! A line of text as it is drawn: runs of one direction each, from left to right (Unicode Standard Annex 9). A line goes in
//! the direction of its first letter that has one; numbers are read from left to right in either.

use unicode_bidi::BidiInfo;

/// A part of a line that is drawn in one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run<'a> {
    /// In the order in which it is read.
    pub(super) text: &'a str,
    pub(super) direction: Direction,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Rightwards,
    Leftwards,
}

/// The runs of a line, the leftmost first.
pub(super) fn runs(line: &str) -> Vec<Run<'_>> {
    let known = BidiInfo::new(line, None);
    if !known.has_rtl() {
        return vec![Run { text: line, direction: Direction::Rightwards }];
    }
    let of_paragraph = |paragraph| {
        let (levels, ranges) = known.visual_runs(paragraph, paragraph.range.clone());
        let run = move |range: std::ops::Range<usize>| {
            let leftwards = levels.get(range.start).is_some_and(|level| level.is_rtl());
            let direction = if leftwards { Direction::Leftwards } else { Direction::Rightwards };
            Some(Run { text: line.get(range)?, direction })
        };
        ranges.into_iter().filter_map(run)
    };
    known.paragraphs.iter().flat_map(of_paragraph).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_in_a_line_that_goes_leftwards_is_not_turned_round() {
        let run = |text, direction| Run { text, direction };
        let (leftwards, rightwards) = (Direction::Leftwards, Direction::Rightwards);
        assert_eq!(runs("score 85"), [run("score 85", rightwards)]);
        assert_eq!(runs("אבג 85 דה"), [run(" דה", leftwards), run("85", rightwards), run("אבג ", leftwards)]);
        assert_eq!(runs("Ann אב 85"), [run("Ann ", rightwards), run("85", rightwards), run("אב ", leftwards)]);
        assert_eq!(runs(""), [run("", rightwards)]);
    }
}
