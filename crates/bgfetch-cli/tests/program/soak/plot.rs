//! The samples of a soak as a picture.

use std::fmt::Write as _;

use super::figures::{FIGURES, Figure, Sample};

const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 110.0;
/// The room between panels, which has the title of the next one.
const GAP: f64 = 30.0;
const MARGIN: f64 = 60.0;
const COLOURS: [&str; 2] = ["#1f6feb", "#d9480f"];

/// An SVG with a panel for each figure and a line for each program.
pub(super) fn svg(programs: &[(&str, &[Sample])]) -> String {
    let height = GAP + FIGURES.len() as f64 * (HEIGHT + GAP);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n",
        WIDTH + 2.0 * MARGIN
    );
    // A String takes any text, here and below.
    let mut line = |text: String| writeln!(svg, "{text}").unwrap();
    for (index, (name, _)) in programs.iter().enumerate() {
        let x = MARGIN + 250.0 + 200.0 * index as f64;
        line(format!("<text x=\"{x}\" y=\"20\" fill=\"{}\">{name}</text>", COLOURS[index % 2]));
    }
    let all = || programs.iter().flat_map(|(_, samples)| samples.iter());
    let end = all().map(|sample| sample.at.as_secs_f64()).fold(1.0, f64::max);
    for (figure, Figure { name, .. }) in FIGURES.iter().enumerate() {
        let top = GAP + figure as f64 * (HEIGHT + GAP);
        let most = all().map(|sample| sample.values[figure]).fold(1.0, f64::max);
        line(format!("<text x=\"{MARGIN}\" y=\"{}\">{name}</text>", top - 6.0));
        line(format!("<text x=\"5\" y=\"{}\">{most:.0}</text>", top + 10.0));
        line(format!("<text x=\"5\" y=\"{}\">0</text>", top + HEIGHT));
        line(format!(
            "<rect x=\"{MARGIN}\" y=\"{top}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"none\" \
             stroke=\"#999\"/>"
        ));
        for (index, (_, samples)) in programs.iter().enumerate() {
            let mut points = String::new();
            for sample in *samples {
                let x = MARGIN + WIDTH * sample.at.as_secs_f64() / end;
                let y = top + HEIGHT * (1.0 - sample.values[figure] / most);
                write!(points, "{x:.1},{y:.1} ").unwrap();
            }
            line(format!(
                "<polyline points=\"{points}\" fill=\"none\" stroke=\"{}\"/>",
                COLOURS[index % 2]
            ));
        }
    }
    svg.push_str("</svg>\n");
    svg
}
