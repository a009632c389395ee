//! Revenue against the index as a picture: one line without forwards, one with them.

use std::fmt::Write as _;

use super::Outcome;

const WIDTH: i128 = 720;
const HEIGHT: i128 = 420;
/// Room for the numbers at the left, and around.
const LEFT: i128 = 130;
const EDGE: i128 = 50;

/// An SVG document; `money` words an amount in sat. Empty without scenarios.
#[must_use]
pub fn svg(title: &str, outcomes: &[Outcome], money: impl Fn(i128) -> String) -> String {
    let (Some(first), Some(last)) = (outcomes.first(), outcomes.last()) else {
        return String::new();
    };
    let all = || {
        outcomes
            .iter()
            .flat_map(|told| [told.unhedged(), told.hedged()])
    };
    let low = all().min().unwrap_or(0).min(0);
    let high = all().max().unwrap_or(0).max(low + 1);
    let span = i128::from((last.moved - first.moved).max(1));
    let x = |moved: i64| LEFT + (WIDTH - LEFT - EDGE) * i128::from(moved - first.moved) / span;
    let y = |sat: i128| HEIGHT - EDGE - (HEIGHT - 2 * EDGE) * (sat - low) / (high - low);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>\n\
         <text x=\"{LEFT}\" y=\"24\" font-size=\"15\">{}</text>\n",
        escaped(title)
    );
    let mut put = |line: std::fmt::Arguments<'_>| {
        // Writing into memory does not fail.
        writeln!(out, "{line}").unwrap_or_default();
    };
    for step in 0..=4 {
        let sat = low + (high - low) * step / 4;
        let (at, right) = (y(sat), WIDTH - EDGE);
        put(format_args!(
            "<line x1=\"{LEFT}\" y1=\"{at}\" x2=\"{right}\" y2=\"{at}\" stroke=\"#dddddd\"/>\
             <text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>",
            LEFT - 8,
            at + 4,
            escaped(&money(sat))
        ));
    }
    for told in outcomes {
        put(format_args!(
            "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            x(told.moved),
            HEIGHT - EDGE + 20,
            percent(told.moved)
        ));
    }
    let mut line = |name: &str, colour: &str, of: fn(&Outcome) -> i128, place: i128| {
        let points: Vec<String> = outcomes
            .iter()
            .map(|told| format!("{},{}", x(told.moved), y(of(told))))
            .collect();
        put(format_args!(
            "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"3\" points=\"{}\"/>\
             <text x=\"{}\" y=\"{}\" fill=\"{colour}\">{name}</text>",
            points.join(" "),
            LEFT + 150 * place,
            HEIGHT - 8
        ));
    };
    line("without forwards", "#b04a2f", Outcome::unhedged, 0);
    line("with forwards", "#2f6db0", Outcome::hedged, 1);
    out.push_str("</svg>\n");
    out
}

/// `+12.5 %`; ppm in.
#[must_use]
pub fn percent(ppm: i64) -> String {
    let sign = match ppm {
        0 => "",
        1.. => "+",
        _ => "-",
    };
    let (whole, part) = (ppm.unsigned_abs() / 10_000, ppm.unsigned_abs() % 10_000);
    let part = format!("{part:04}");
    let part = part.trim_end_matches('0');
    let point = if part.is_empty() { "" } else { "." };
    format!("{sign}{whole}{point}{part} %")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percents_are_exact() {
        let told = [-400_000, -5_000, 0, 125_000, 1].map(percent);
        assert_eq!(told, ["-40 %", "-0.5 %", "0 %", "+12.5 %", "+0.0001 %"]);
    }

    #[test]
    fn both_lines_lie_inside_the_frame() {
        let told = |moved, mined| Outcome {
            moved,
            mined,
            forwards: 100 - mined,
            power: 0,
            fees: 0,
        };
        let outcomes = [told(-200_000, 50), told(0, 100), told(200_000, 200)];
        let text = svg("a <plan> & more", &outcomes, |sat| sat.to_string());
        // From 0 to 200 over 320 points of height: 50 is at 290, 100 at 210, 200 at 50.
        assert!(text.contains("points=\"130,290 400,210 670,50\""), "{text}");
        assert!(
            text.contains("points=\"130,210 400,210 670,210\""),
            "{text}"
        );
        assert!(text.contains("a &lt;plan&gt; &amp; more"));
        assert_eq!(svg("", &[], |sat| sat.to_string()), "");
    }
}
