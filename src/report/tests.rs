//! What a report promises.

use super::answer::Part;
use super::sentences::Sentence;
use super::*;

const SVG: &str = "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"180mm\" height=\"90mm\" viewBox=\"0 0 180 90\">\n\
                   <title>t</title>\n<text>drawn</text>\n</svg>\n";

const CSV: &str = "series,layer,value\n</script>,1,0.5\nb,2,0.25\nb,3,0.125\n";

fn data() -> ReportData {
    let words = |list: &[&str]| list.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>();
    ReportData {
        title: "Coupling of persona and autonomy".to_owned(),
        study: "quick".to_owned(),
        model: "smollm2-135m-instruct".to_owned(),
        command: "residuum run quick".to_owned(),
        date: "2026-01-01".to_owned(),
        answer: Answer {
            question: "Does it differ?".to_owned(),
            parts: vec![Part {
                topic: "Behaviour",
                said: String::from("It does not: 0.02 [-0.03, 0.05].").into(),
                others: words(&["Nor at another layer."]),
            }],
            cautions: words(&["That there is no effect."]),
        },
        findings: vec![Said {
            heading: "Exploratory".to_owned(),
            tally: "1 equivalent".to_owned(),
            sentences: vec![Sentence {
                text: "No change of the cosine at layer 10: 0.01 [-0.03, 0.05].".to_owned(),
                details: vec![("n", "60 prompts".to_owned())],
            }],
        }],
        warnings: vec![Kind {
            advice: "Read the held-out AUROC".to_owned(),
            places: 2,
            cases: words(&["n < d for autonomy: 60 pairs in 576 dimensions."]),
        }],
        warned: 1,
        methods: vec![Method {
            path: "geometry/coupling".to_owned(),
            says: vec![("is".to_owned(), "Cosine of two directions.".to_owned())],
            columns: vec![["layer", "", "Index of the block."].map(str::to_owned)],
        }],
        provenance: Provenance {
            facts: vec![("Seed".to_owned(), "17".to_owned())],
            inputs: vec![("texts".to_owned(), "abcdef".to_owned())],
            config: "{}".to_owned(),
        },
        citation: Citation { text: "Cite this.".to_owned(), ..Citation::default() },
        figures: vec![ReportFigure {
            name: "coupling".to_owned(),
            title: "Cosine by layer".to_owned(),
            caption: "n = 60 pairs".to_owned(),
            svg: PathBuf::from("figures/coupling.svg"),
            csv: PathBuf::from("figures/coupling.csv"),
        }],
        tables: vec![ReportTable {
            title: "Directions".to_owned(),
            caption: "95 % intervals".to_owned(),
            columns: words(&["concept", "AUROC"]),
            rows: vec![words(&["persona", "0.97"]), words(&["autonomy", "0.91"])],
        }],
        references: vec![ReferencePoint {
            quantity: "cos(p, toaster), mid depth".to_owned(),
            earlier: ".14".to_owned(),
            source: "arXiv 2604.17031".to_owned(),
            ours: ".12".to_owned(),
        }],
        files: vec![RunFile { path: "results.h5".to_owned(), what: "all numbers".to_owned() }],
        ..ReportData::default()
    }
}

fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("figures")).unwrap();
    std::fs::write(dir.path().join("figures/coupling.svg"), SVG).unwrap();
    std::fs::write(dir.path().join("figures/coupling.csv"), CSV).unwrap();
    dir
}

fn written(data: &ReportData) -> (String, String) {
    let dir = folder();
    let (html, markdown) = write(data, dir.path()).unwrap();
    let read = |path: &Path| std::fs::read_to_string(path).unwrap();
    (read(&html), read(&markdown))
}

#[test]
fn both_reports_say_everything_that_was_given() {
    let (html, text) = written(&data());
    let said = [
        "Coupling of persona and autonomy",
        "quick",
        "smollm2-135m-instruct",
        "residuum run quick",
        "2026-01-01",
        "No change of the cosine at layer 10",
        "for autonomy: 60 pairs",
        "Cosine by layer",
        "persona",
        "0.91",
        "95 % intervals",
        "2604.17031",
        "results.h5",
        "Does it differ?",
        "It does not: 0.02",
        "Nor at another layer.",
        "That there is no effect.",
        "60 prompts",
        "Read the held-out AUROC",
        "Cosine of two directions.",
        "abcdef",
        "17",
        "Cite this.",
        "n = 60 pairs",
    ];
    for part in said {
        assert!(html.contains(part), "html lacks {part}");
        assert!(text.contains(part), "markdown lacks {part}");
    }
    assert!(html.contains("<text>drawn</text>"));
    assert!(text.contains("](<figures/coupling.png>)"));
}

#[test]
fn names_and_values_are_escaped() {
    let evil = "<script>alert(\"1\")</script>&'";
    let mut data = data();
    for field in
        [&mut data.title, &mut data.study, &mut data.model, &mut data.command, &mut data.date]
    {
        evil.clone_into(field);
    }
    data.findings[0].heading = evil.to_owned();
    data.findings[0].sentences[0].text = evil.to_owned();
    data.findings[0].sentences[0].details[0].1 = evil.to_owned();
    data.answer.question = evil.to_owned();
    data.answer.parts[0].said.text = evil.to_owned();
    data.answer.parts[0].others[0] = evil.to_owned();
    data.answer.cautions[0] = evil.to_owned();
    data.warnings[0].advice = evil.to_owned();
    data.warnings[0].cases[0] = evil.to_owned();
    data.methods[0].says[0].1 = evil.to_owned();
    data.methods[0].path = evil.to_owned();
    data.methods[0].columns[0] = [evil, evil, evil].map(str::to_owned);
    data.provenance.facts[0] = (evil.to_owned(), evil.to_owned());
    data.provenance.inputs[0] = (evil.to_owned(), evil.to_owned());
    data.provenance.config = evil.to_owned();
    data.citation.text = evil.to_owned();
    data.citation.bibtex = evil.to_owned();
    data.citation.sources = vec![evil.to_owned()];
    data.figures[0].title = evil.to_owned();
    data.figures[0].caption = evil.to_owned();
    data.tables[0].title = evil.to_owned();
    data.tables[0].caption = evil.to_owned();
    data.tables[0].columns[0] = evil.to_owned();
    data.tables[0].rows[0][1] = evil.to_owned();
    data.references[0].quantity = evil.to_owned();
    data.references[0].ours = evil.to_owned();
    data.files[0].path = evil.to_owned();
    data.files[0].what = evil.to_owned();
    let (html, text) = written(&data);
    assert!(!html.contains("<script>alert"), "html runs a name");
    // The values of figures and the page's own script, which no name can close.
    assert_eq!((html.matches("<script").count(), html.matches("</script").count()), (2, 2));
    assert!(html.contains("&lt;script&gt;") && html.contains("\\u003c/script>"));
    for line in text.lines().filter(|l| l.contains("<script")) {
        assert!(line.contains("`<script"), "markdown lets a name through: {line}");
    }
}

#[test]
fn the_page_needs_no_other_file() {
    let (html, _) = written(&data());
    for outside in ["src=", "href=\"http", "url(http", "@import", "fetch(", "<link", "<img"] {
        assert!(!html.contains(outside), "{outside}");
    }
    assert!(html.contains("data:font/ttf;base64,AAEAAA"));
}

#[test]
fn a_report_without_doubts_or_findings_says_so() {
    let (html, text) = written(&ReportData::default());
    for page in [html, text] {
        assert!(page.contains("None."));
        assert!(page.contains("No findings were recorded."));
        assert!(!page.contains("Files of the run"));
    }
}

#[test]
fn the_same_data_give_the_same_report() {
    assert!(written(&data()) == written(&data()));
}

#[test]
fn a_ragged_table_and_a_missing_figure_are_refused() {
    let dir = folder();
    let mut ragged = data();
    ragged.tables[0].rows[1].pop();
    let error = write(&ragged, dir.path()).unwrap_err();
    assert!(matches!(error, ReportError::Cells { row: 2, want: 2, got: 1, .. }));
    let mut missing = data();
    missing.figures[0].svg = PathBuf::from("figures/none.svg");
    let error = write(&missing, dir.path()).unwrap_err();
    assert!(error.to_string().contains("none.svg"));
    std::fs::write(dir.path().join("figures/coupling.svg"), "\u{89}PNG").unwrap();
    assert!(matches!(write(&data(), dir.path()), Err(ReportError::NotSvg { .. })));
    assert!(!dir.path().join("report.html").exists());
}

#[test]
fn every_element_of_the_page_is_closed() {
    let (html, _) = written(&data());
    let tags = "section table figure ul ol li dl dt dd main div tr thead tbody details summary nav header p";
    for tag in tags.split(' ') {
        let open =
            html.matches(&format!("<{tag}>")).count() + html.matches(&format!("<{tag} ")).count();
        assert_eq!(open, html.matches(&format!("</{tag}>")).count(), "{tag}");
    }
}

#[test]
#[ignore = "writes a sample report to FIGURE_SAMPLES for a look"]
fn the_sample_report_can_be_looked_at() {
    let dir = PathBuf::from(std::env::var("FIGURE_SAMPLES").unwrap());
    let mut data = data();
    data.figures = ["coupling", "behaviour", "claims"]
        .map(|name| ReportFigure {
            name: name.to_owned(),
            title: name.to_owned(),
            caption: "n = 60 pairs".to_owned(),
            svg: PathBuf::from(format!("double/usual/{name}.svg")),
            csv: PathBuf::from(format!("double/usual/{name}.csv")),
        })
        .to_vec();
    write(&data, &dir).unwrap();
}
