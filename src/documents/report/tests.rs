//! Reports are rendered to pixels, and their text is taken out again, with the programs of poppler.

use super::*;
use crate::domain::ids::{ModelVersion, Movement, PatientId};
use crate::domain::object_key::ObjectKey;
use crate::domain::recording::{Day, parse};
use crate::domain::score::{Failure, RecordingStatus, Score};
use crate::storage::database::{EventRecord, Patient, QualityReport, Recorded, Scored, TestEvent};
use crate::storage::objects::Digest;
use std::path::Path;
use std::process::Command;

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_682_449_492 + seconds, 0).unwrap()
}

/// A whole event: scored by a model and by a clinician, with notes.
fn record() -> EventRecord {
    let (id, patient) = ("7a96f43b-53d5-45e6-9bd4-5318036dae55".parse().unwrap(), PatientId::new("p-1").unwrap());
    let movement = Movement::new("sit-to-stand").unwrap();
    let day = Day::new(2023, 4, 25).unwrap();
    let quality = QualityReport {
        samples: 6_000,
        duration_seconds: 60.12,
        effective_rate_hz: Some(99.8),
        gaps: 2,
        longest_gap_seconds: 0.211,
        jitter_seconds: 0.0012,
        non_monotonic: 1,
        constant_axes: vec!["gz".into()],
    };
    let score = Score {
        value: 70.9,
        lower: Some(63.2),
        upper: Some(78.4),
        provisional: false,
        unlike_training: false,
        novelty: Some(0.4),
        model_version: ModelVersion::new("m-1").unwrap(),
        backend: "local",
    };
    let recorded = Recorded {
        raw_key: ObjectKey::raw(&patient, &movement, day, false, id),
        movement: movement.clone(),
        day,
        digest: Digest::of(b"raw"),
        status: RecordingStatus::Scored,
        failure: None,
        clinic_score: None,
        received_at: at(70),
        updated_at: at(80),
        quality: Some(quality),
        score: Some(Scored { score, at: at(80), model: Some((20, 4.13)) }),
    };
    EventRecord {
        event: TestEvent {
            id,
            patient: patient.clone(),
            test_type: movement,
            balance_score: Some(71),
            doctor_score: Some(68),
            notes: Some("Walks well.\nUses the left arm at the third rise.".into()),
            start_time: Some(at(0)),
            end_time: Some(at(60)),
        },
        patient: Patient {
            id: patient,
            email: None,
            first_name: Some("Zofia".into()),
            last_name: Some("Żółkiewska".into()),
            privacy_consent_date: None,
        },
        recording: Some(recorded),
    }
}

/// A minute at 100 Hz: a wave on each axis, and one peak.
fn recording() -> Recording {
    let ts: Vec<String> = (0..6_000)
        .map(|n| format!("2023-04-25 12:{:02}:{:02}.{:02}0000 -07:00", n / 6_000, n / 100 % 60, n % 100))
        .collect();
    let wave = |phase: f64| -> Vec<f64> {
        (0..6_000).map(|n| (f64::from(n) * 0.02 + phase).sin() * 3.0 + if n == 4_000 { 9.0 } else { 0.0 }).collect()
    };
    let document = serde_json::json!({
        "user_id": "p-1", "movement": "sit-to-stand", "testID": "7a96f43b-53d5-45e6-9bd4-5318036dae55",
        "training": false, "start_date": "2023-4-25", "ts": ts,
        "ax": wave(0.0), "ay": wave(1.0), "az": wave(2.0), "gx": wave(3.0), "gy": wave(4.0), "gz": wave(5.0),
        "mx": wave(6.0), "my": wave(7.0), "mz": wave(8.0),
    });
    parse(document.to_string().into()).unwrap()
}

struct Pdf(tempfile::TempDir);

impl Pdf {
    fn of(bytes: &[u8]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("report.pdf"), bytes).unwrap();
        Self(folder)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Vec<u8> {
        let output = Command::new(program).args(arguments).current_dir(self.path()).output();
        let output = output.unwrap_or_else(|_| panic!("{program} is needed (Debian: apt-get install poppler-utils)"));
        assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    fn text(&self) -> String {
        String::from_utf8(self.run("pdftotext", &["-layout", "report.pdf", "-"])).unwrap()
    }

    /// The words, each after one space.
    fn words(&self) -> String {
        self.text().split_whitespace().collect::<Vec<_>>().join(" ")
    }

    fn info(&self) -> String {
        String::from_utf8(self.run("pdfinfo", &["report.pdf"])).unwrap()
    }

    /// A page at 144 dots an inch.
    fn page(&self, number: usize) -> Pixels {
        let page = number.to_string();
        let image = self.run("pdftoppm", &["-r", "144", "-f", &page, "-l", &page, "report.pdf"]);
        let mut parts = image.splitn(4, |byte| *byte == b'\n');
        assert_eq!(parts.next().unwrap(), b"P6");
        let size = String::from_utf8(parts.next().unwrap().to_vec()).unwrap();
        let (width, height) = size.split_once(' ').unwrap();
        parts.next();
        let bytes = parts.next().unwrap().to_vec();
        let (width, height): (usize, usize) = (width.parse().unwrap(), height.parse().unwrap());
        assert_eq!(bytes.len(), width * height * 3);
        Pixels { width, bytes }
    }
}

struct Pixels {
    width: usize,
    bytes: Vec<u8>,
}

impl Pixels {
    /// Pixels of an area that have a colour: lines of a signal; frames and grids are nearly grey.
    fn coloured(&self, area: Area) -> usize {
        let dots = |points: f32| (points * 2.0) as usize;
        let rows = dots(area.y)..dots(area.y + area.height);
        let columns = dots(area.x)..dots(area.x + area.width);
        rows.flat_map(|y| columns.clone().map(move |x| (y * self.width + x) * 3))
            .filter(|at| {
                let pixel = &self.bytes[*at..*at + 3];
                pixel.iter().max().unwrap() - pixel.iter().min().unwrap() > 40
            })
            .count()
    }

    /// Pixels that are not white.
    fn inked(&self) -> usize {
        self.bytes.chunks(3).filter(|pixel| pixel.iter().any(|value| *value < 250)).count()
    }
}

#[test]
fn a_report_says_what_a_clinician_files() {
    let recording = recording();
    let pdf = Pdf::of(&render(&Content::new(&record(), "ignored"), Some(&recording), at(100)).unwrap());
    let words = pdf.words();
    for said in [
        "MOVEMENT TEST REPORT",
        "Sit to stand",
        "25 April 2023",
        "Zofia Żółkiewska",
        "p-1",
        "of 100",
        "Watch",
        "Computed 70.9; 90 % interval 63.2 to 78.4, on a scale of 0 to 100.",
        "Model m-1, trained from 20 recordings of this patient.",
        "Mean error of the model 4.1 points (each recording left out once).",
        "Clinician's score: 68",
        "samples in 60.1 s: 99.8 a second on average.",
        "2 gaps (intervals over three times the usual one), the longest of 0.211 s.",
        "One timestamp is not later than the one before.",
        "Axis gz never changes: its sensor gave no signal.",
        "Walks well.",
        "Uses the left arm at the third rise.",
        "Recorded signals",
        "First sample at 2023-04-25 12:00:00.000000 -07:00",
        "Accelerometer, gravity included",
        "Gyroscope",
        "Magnetometer",
        "time (s)",
        "Test event 7a96f43b-53d5-45e6-9bd4-5318036dae55",
        "Made 25 April 2023, 19:06:32 UTC",
        "Page 1 of 2",
        "Page 2 of 2",
    ] {
        assert!(words.contains(said), "{said}\n{}", pdf.text());
    }
    assert!(!words.contains("ignored"));
    for (unit, axes) in [("m/s²", ["ax", "ay", "az"]), ("rad/s", ["gx", "gy", "gz"]), ("µT", ["mx", "my", "mz"])] {
        for axis in axes {
            assert!(words.contains(&format!("{axis} {unit}")), "{axis} {unit}\n{}", pdf.text());
        }
    }
    let info = pdf.info();
    for said in ["Title:           Movement test report: Sit to stand, 25 April 2023", "Pages:           2", "A4"] {
        assert!(info.contains(said), "{said}\n{info}");
    }
}

#[test]
fn each_of_the_nine_plots_has_its_line() {
    let recording = recording();
    let pdf = Pdf::of(&render(&Content::new(&record(), ""), Some(&recording), at(100)).unwrap());
    let page = pdf.page(2);
    for (index, area) in plot_areas().into_iter().enumerate() {
        let inner = Area { x: area.x + 2.0, y: area.y + 2.0, width: area.width - 4.0, height: area.height - 4.0 };
        // At least a pixel in every other column.
        assert!(page.coloured(inner) > inner.width as usize, "plot {index}: {}", page.coloured(inner));
        let peak = Area { x: area.x + area.width * 2.0 / 3.0 - 3.0, width: 8.0, height: area.height / 3.0, ..inner };
        assert!(page.coloured(peak) > 3, "plot {index} lost its peak");
    }
}

#[test]
fn the_same_gives_the_same_bytes_and_another_content_another_mark() {
    let recording = recording();
    let content = Content::new(&record(), "");
    let pdf = render(&content, Some(&recording), at(100)).unwrap();
    assert_eq!(render(&content, Some(&recording), at(100)).unwrap(), pdf);
    let marked = |content: &Content| memchr::memmem::find(&pdf, content.mark().as_bytes()).is_some();
    assert!(marked(&content));
    let mut changes: Vec<EventRecord> = (0..7).map(|_| record()).collect();
    changes[0].event.notes = Some("Walks better.".into());
    changes[1].event.doctor_score = Some(69);
    changes[2].event.balance_score = Some(72);
    changes[3].patient.last_name = Some("Nowak".into());
    let recorded = |record: &mut EventRecord| record.recording.take().unwrap();
    let mut other = recorded(&mut changes[4]);
    other.score.as_mut().unwrap().score.model_version = ModelVersion::new("m-2").unwrap();
    changes[4].recording = Some(other);
    let mut other = recorded(&mut changes[5]);
    other.digest = Digest::of(b"other");
    changes[5].recording = Some(other);
    changes[6].recording = None;
    for (index, change) in changes.iter().enumerate() {
        assert!(!marked(&Content::new(change, "")), "change {index}");
    }
    assert!(marked(&Content::new(&record(), "another name, which is not shown")));
}

#[test]
fn what_must_be_known_before_one_relies_on_a_score_is_said() {
    let usual = record();
    let drawn = |provisional, unlike_training| {
        let mut record = record();
        let scored = record.recording.as_mut().and_then(|recorded| recorded.score.as_mut()).unwrap();
        (scored.score.provisional, scored.score.unlike_training) = (provisional, unlike_training);
        scored.model = Some(if provisional { (0, 0.0) } else { (20, 4.13) });
        let content = Content::new(&record, "");
        assert_eq!(content.mark() == Content::new(&usual, "").mark(), !provisional && !unlike_training);
        let pdf = Pdf::of(&render(&content, None, at(100)).unwrap());
        if let Some(folder) = std::env::var_os("STANCE_REPORTS") {
            let name = format!("cautions-{provisional}-{unlike_training}.pdf");
            std::fs::copy(pdf.path().join("report.pdf"), Path::new(&folder).join(name)).unwrap();
        }
        pdf.words()
    };
    let provisional =
        "Provisional: too few recordings of this patient were scored by a clinician for a model of their own.";
    let unlike = "Do not rely on this score: the recording is unlike those that the model learned from.";
    for (is_provisional, is_unlike) in [(false, false), (true, false), (false, true), (true, true)] {
        let words = drawn(is_provisional, is_unlike);
        assert_eq!((words.contains(provisional), words.contains(unlike)), (is_provisional, is_unlike), "{words}");
        assert_eq!(words.contains("trained from no recording of this patient."), is_provisional, "{words}");
        assert!(words.contains("Clinician's score: 68") && words.contains("Quality of the recording"), "{words}");
    }
}

#[test]
fn long_notes_wrap_and_go_over_pages() {
    let words: Vec<String> = (0..1_600).map(|n| format!("word{n}")).collect();
    let mut record = record();
    record.event.notes = Some(format!("{}\n\n{}", words.join(" "), "ß".repeat(400)));
    let pdf = Pdf::of(&render(&Content::new(&record, ""), None, at(100)).unwrap());
    let text = pdf.words();
    for word in &words {
        assert!(text.contains(word.as_str()), "{word}");
    }
    assert_eq!(text.matches('ß').count(), 400);
    assert!((2..=6).any(|last| text.contains(&format!("Page {last} of {last}"))), "{text}");
    let pages = text.matches("Page ").count();
    assert!(pages > 2 && text.matches("Zofia Żółkiewska").count() == pages, "each page says whose it is");
}

#[test]
fn names_of_many_scripts_are_drawn_and_what_no_font_has_breaks_nothing() {
    for (first, last, shown) in [
        ("Łucja", "Gżegżółka", "Łucja Gżegżółka"),
        ("Ελένη", "Παπαδοπούλου", "Ελένη Παπαδοπούλου"),
        ("Дмитрий", "Щербаков", "Дмитрий Щербаков"),
        ("Nguyễn", "Thị Ánh Tuyết", "Nguyễn Thị Ánh Tuyết"),
        ("Guðrún", "Þórðardóttir", "Guðrún Þórðardóttir"),
        ("Գոհար", "Սարգսյան", "Գոհար Սարգսյան"),
        ("A\u{301}gnes", "O\u{202e}Neil", "gnes ONeil"),
        ("猫", "🦀 X\u{0}\u{7}\u{e000}", "\u{fffd} \u{fffd} X"),
    ] {
        let mut record = record();
        record.patient.first_name = Some(first.into());
        record.patient.last_name = Some(last.into());
        let pdf = Pdf::of(&render(&Content::new(&record, ""), None, at(100)).unwrap());
        assert!(pdf.words().contains(shown), "{shown}\n{}", pdf.text());
    }
    // Anything at all that a text may hold.
    let mut record = record();
    record.event.notes = Some((0..0x3_000_u32).filter_map(char::from_u32).collect());
    record.patient.first_name = Some("שרה".into());
    record.patient.last_name = Some("فاطمة".into());
    let pdf = Pdf::of(&render(&Content::new(&record, ""), None, at(100)).unwrap());
    assert!(pdf.page(1).inked() > 10_000);
}

#[test]
fn numbers_and_words_of_another_direction_read_as_they_were_written() {
    let mut record = record();
    record.event.notes = Some("النتيجة 8579 من 10352 (Annika Leeds)\nהציון 4261 לפי Ove Dahl 73".into());
    record.patient.first_name = Some("فاطمة".into());
    record.patient.last_name = Some("Zahra 615".into());
    let pdf = Pdf::of(&render(&Content::new(&record, ""), None, at(100)).unwrap());
    let words = pdf.words();
    for said in ["8579", "10352", "Annika Leeds", "4261", "Ove Dahl", "73", "Zahra", "615"] {
        assert!(words.contains(said), "{said}\n{words}");
    }
}

#[test]
fn a_fact_that_is_cut_says_so() {
    let fonts = fonts().unwrap();
    let style = regular(10.0, INK);
    let long = "Wolfeschlegelsteinhausen ".repeat(20);
    let lines = fonts.wrap_into(3, &long, style, 200.0);
    assert!(lines.len() == 3 && lines[2].ends_with('…') && !lines[1].ends_with('…'), "{lines:?}");
    assert!(lines.iter().all(|line| fonts.width(line, style) <= 200.0), "{lines:?}");
    assert_eq!(fonts.wrap_into(3, "one\ntwo\nthree", style, 200.0), ["one", "two", "three"]);
    let mut record = record();
    record.patient.last_name = Some(long);
    let pdf = Pdf::of(&render(&Content::new(&record, ""), None, at(100)).unwrap());
    assert!(pdf.text().contains('…'), "{}", pdf.text());
}

#[test]
fn without_a_recording_or_with_a_failed_one_the_report_says_so() {
    let mut none = record();
    none.recording = None;
    none.event.balance_score = None;
    none.event.notes = None;
    none.patient.first_name = None;
    none.patient.last_name = None;
    let content = Content::new(&none, "Ann Lee");
    assert!(!content.has_signals());
    let words = Pdf::of(&render(&content, None, at(100)).unwrap()).words();
    for said in [
        "No score: no recording has arrived for this test.",
        "No recording has arrived for this test.",
        "Name, as given with the request",
        "Ann Lee",
        "None.",
        "Page 1 of 1",
    ] {
        assert!(words.contains(said), "{said}\n{words}");
    }
    let mut failed = record();
    let recorded = failed.recording.as_mut().unwrap();
    recorded.status = RecordingStatus::Failed;
    recorded.failure = Some(Failure { code: "no_samples".into(), message: "there are no samples".into() });
    (recorded.quality, recorded.score) = (None, None);
    failed.event.balance_score = None;
    let words = Pdf::of(&render(&Content::new(&failed, ""), None, at(100)).unwrap()).words();
    for said in [
        "No score: the recording could not be processed.",
        "Processing failed: there are no samples (no_samples).",
        "its signals are not shown",
    ] {
        assert!(words.contains(said), "{said}\n{words}");
    }
}

/// The app's own recordings, where they are beside the project: for who wants to look at the pages, which are left in the
/// folder that `STANCE_REPORTS` names.
#[test]
fn real_recordings_are_drawn() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let files = ["app_sit_to_stand", "timed_up_and_go/tug-s01"]
        .iter()
        .filter_map(|folder| std::fs::read_dir(data.join(folder)).ok());
    for file in
        files.flatten().map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some_and(|e| e == "json"))
    {
        let recording = parse(std::fs::read(&file).unwrap().into()).unwrap();
        let bytes = render(&Content::new(&record(), ""), Some(&recording), at(100)).unwrap();
        let pdf = Pdf::of(&bytes);
        let page = pdf.page(2);
        assert!(plot_areas().iter().all(|area| page.coloured(*area) > area.width as usize), "{}", file.display());
        if let Some(folder) = std::env::var_os("STANCE_REPORTS") {
            let name = Path::new(file.file_stem().unwrap()).with_extension("pdf");
            std::fs::write(Path::new(&folder).join(name), bytes).unwrap();
        }
    }
}
