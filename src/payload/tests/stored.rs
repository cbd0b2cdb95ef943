//! Cases that lie in files: one folder for each format, and what fuzzing found worth keeping.

use std::fs;
use std::path::{Path, PathBuf};

use super::*;

fn entries(folder: &Path) -> Vec<PathBuf> {
    let read = fs::read_dir(folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    let mut entries: Vec<_> = read.map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    entries
}

fn input_of(case: &Path) -> Vec<u8> {
    let is_input = |path: &&PathBuf| path.file_stem().is_some_and(|stem| stem == "input");
    let files = entries(case);
    fs::read(files.iter().find(is_input).unwrap_or_else(|| panic!("{case:?} has no input")))
        .unwrap()
}

#[test]
fn every_format_has_cases_and_they_come_out_as_stored() {
    let testdata = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/payload/testdata");
    for format in FORMATS {
        let cases = entries(&testdata.join(format.name));
        assert!(!cases.is_empty(), "{} has no cases", format.name);
        for case in cases {
            let came = match decode(input_of(&case)) {
                Ok((readings, _)) => json!({ "readings": readings }),
                Err(reason) => json!({ "refused": reason.name() }),
            };
            let expected = fs::read(case.join("expected.json")).unwrap();
            let expected: Value = serde_json::from_slice(&expected).unwrap();
            assert_eq!(came, expected, "{case:?} comes out as {came:#}");
        }
    }
    for folder in entries(&testdata) {
        let name = folder.file_name().unwrap().to_str().unwrap();
        assert!(FORMATS.iter().any(|format| format.name == name), "{name} is no format");
    }
}

#[test]
fn the_fuzzer_s_corpus_is_read_without_panic_and_as_the_model_reads_it() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/payload");
    let inputs = entries(&corpus);
    assert!(inputs.len() >= 20, "the corpus has {} inputs", inputs.len());
    for input in inputs {
        agreement::check_against_model(&fs::read(input).unwrap());
    }
}
