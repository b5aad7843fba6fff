//! The page, HTML. Text is escaped by the templates; what is not is the style and the image, both made here.

use super::content::Content;
use super::{STYLE, plot};
use maud::{DOCTYPE, Markup, PreEscaped, html};

/// The page as text.
pub(super) fn draw(content: &Content) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "Model card: " (content.title) ", version " (content.version) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    header {
                        p.kind { "Model card" }
                        h1 { (content.title) }
                        p { "Version " (content.version) }
                    }
                    p.standing.in-use[content.serves] { (content.standing) }
                    (facts(content))
                    (accuracy(content))
                    section aria-labelledby="unknown" {
                        h2 #unknown { "What it does not know" }
                        ul { @for said in &content.unknown { li { (said) } } }
                    }
                    (candidates(content))
                    (features(content))
                    footer {
                        p { "Made with " (content.software.join(", ")) "." }
                        p { "This page was made on " (content.made) "." }
                    }
                }
            }
        }
    };
    page.into_string()
}

fn facts(content: &Content) -> Markup {
    html! {
        section aria-labelledby="facts" {
            h2 #facts { "What it is" }
            dl { @for (label, value) in &content.facts { div { dt { (label) } dd { (value) } } } }
        }
    }
}

fn accuracy(content: &Content) -> Markup {
    html! {
        section aria-labelledby="accuracy" {
            h2 #accuracy { "How far its scores are off" }
            ul.accuracy { @for said in &content.accuracy { li { (said) } } }
            @if let Some(image) = plot::draw(&content.errors, content.half_width) {
                figure {
                    div role="img" aria-label="Points by which the score of each left-out recording was off; the table below counts them." {
                        (PreEscaped(image))
                    }
                    figcaption {
                        "How far each score was off when its recording was left out: above the line it was too high. \
                         Shaded: the interval that nine of ten lie in."
                    }
                }
            }
            @if !content.spread.is_empty() {
                table {
                    caption { "Left-out recordings by how far their scores were off" }
                    thead { tr { th scope="col" { "Off by at most" } th.number scope="col" { "Recordings" } th.number scope="col" { "Share" } } }
                    tbody {
                        @for within in &content.spread {
                            tr {
                                th scope="row" { (within.points) " points" }
                                td.number { (within.count) " of " (content.errors.len()) }
                                td.number { (within.share) }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn candidates(content: &Content) -> Markup {
    html! {
        section aria-labelledby="made-of" {
            h2 #made-of { "What it is made of" }
            @if content.candidates.is_empty() {
                p { "A score is what the recordings of other patients have in common with this one." }
            } @else {
                p { "A score is the weighted mean of what these give. What was less far off on left-out recordings weighs more." }
                (parts(content))
            }
        }
    }
}

fn parts(content: &Content) -> Markup {
    html! {
        table {
            caption { "Parts of the model and their weights" }
            thead {
                tr {
                    th scope="col" { "Part" }
                    th scope="col" { "Looks at" }
                    th scope="col" { "Begins with" }
                    th.number scope="col" { "Weight" }
                }
            }
            tbody {
                @for part in &content.candidates {
                    tr {
                        th scope="row" { (part.what) }
                        td { (part.looks_at) }
                        td { (part.begins_with) }
                        td.number { (part.weight) }
                    }
                }
            }
        }
    }
}

fn features(content: &Content) -> Markup {
    html! {
        section aria-labelledby="looks-at" {
            h2 #looks-at { "What it looks at" }
            table {
                caption { "Numbers taken from a recording, and those that have a weight" }
                thead { tr { th scope="col" { "About" } th.number scope="col" { "Used" } th scope="col" { "Which" } } }
                tbody {
                    @for group in &content.features {
                        tr {
                            th scope="row" { (group.name) }
                            td.number { (group.used) " of " (group.given) }
                            td { @if group.which.is_empty() { "none" } @else { (group.which.join(", ")) } }
                        }
                    }
                }
            }
        }
    }
}
