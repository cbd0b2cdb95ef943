use std::process::{Command, Stdio};

use super::*;

const PLAIN: &[u8] =
    b"*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$3\r\na\r\n\r\n";
const BLOCK: &[u8] =
    b"*1\r\n$5\r\nMULTI\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nb\r\n*1\r\n$4\r\nEXEC\r\n";

fn home(content: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let home = tempfile::tempdir().unwrap();
    let directory = home.path().join("appendonlydir");
    fs::create_dir(&directory).unwrap();
    let manifest = "file appendonly.aof.1.base.rdb seq 1 type b\n\
        file appendonly.aof.1.incr.aof seq 1 type i\n\
        file appendonly.aof.2.incr.aof seq 2 type i\n";
    fs::write(directory.join("appendonly.aof.manifest"), manifest).unwrap();
    let file = directory.join("appendonly.aof.2.incr.aof");
    fs::write(&file, content).unwrap();
    (home, file)
}

fn scanned(content: &[u8]) -> Tail {
    let (_home, path) = home(content);
    scan(&File::open(path).unwrap(), content.len() as u64).unwrap()
}

#[test]
fn a_file_cut_at_any_byte_ends_with_its_last_whole_command() {
    let content = [PLAIN, BLOCK, PLAIN].concat();
    let boundaries = [0, 23, PLAIN.len(), PLAIN.len() + BLOCK.len()];
    let boundaries = [&boundaries[..], &[content.len() - PLAIN.len() + 23, content.len()]].concat();
    for cut in 0..=content.len() {
        let expected = match boundaries.contains(&cut) {
            true => Tail::Whole,
            false => Tail::Incomplete {
                from: *boundaries.iter().rfind(|&&boundary| boundary < cut).unwrap() as u64,
            },
        };
        assert_eq!(scanned(&content[..cut]), expected, "cut at {cut}");
    }
}

#[test]
fn the_servers_own_tool_finds_the_same_place() {
    let content = [PLAIN, BLOCK, PLAIN].concat();
    for cut in 1..=content.len() {
        let (_home, path) = home(&content[..cut]);
        let output = Command::new("redis-check-aof")
            .arg(&path)
            .stdin(Stdio::null())
            .output()
            .expect("redis-check-aof (package redis-tools) is needed for this test");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let theirs = said
            .split("ok_up_to=")
            .nth(1)
            .map(|rest| rest.split(',').next().unwrap().parse::<u64>().unwrap());
        let ours = match scanned(&content[..cut]) {
            Tail::Whole => cut as u64,
            Tail::Incomplete { from } => from,
            Tail::Malformed { .. } => panic!("malformed at {cut}"),
        };
        assert_eq!(theirs, Some(ours), "cut at {cut}: {said}");
    }
}

#[test]
fn a_torn_tail_is_cut_and_kept() {
    let torn = [PLAIN, &BLOCK[..BLOCK.len() - 3]].concat();
    let (home, file) = home(&torn);
    let Mended::Cut { bytes, copy, .. } = mend(home.path()).unwrap() else {
        panic!("not cut");
    };
    assert_eq!(bytes, BLOCK.len() as u64 - 3);
    assert_eq!(fs::read(&file).unwrap(), PLAIN);
    assert_eq!(fs::read(copy).unwrap(), &BLOCK[..BLOCK.len() - 3]);
    assert_eq!(mend(home.path()).unwrap(), Mended::Nothing);
}

#[test]
fn damage_before_the_end_is_left_alone() {
    let (home_dir, file) = home(&[PLAIN, b"garbage", BLOCK].concat());
    assert_eq!(
        mend(home_dir.path()).unwrap(),
        Mended::Damaged { file: file.clone(), at: PLAIN.len() as u64 }
    );
    // A damaged length seems to reach far beyond the end of the file.
    let mut damaged = [PLAIN, PLAIN].concat();
    damaged.extend_from_slice(&vec![b'x'; TAIL_BYTES_MAX as usize]);
    let length = b"$99999999999\r\n";
    damaged[PLAIN.len() + 4..PLAIN.len() + 4 + length.len()].copy_from_slice(length);
    fs::write(&file, &damaged).unwrap();
    assert!(matches!(mend(home_dir.path()).unwrap(), Mended::Damaged { .. }));
    assert_eq!(fs::metadata(&file).unwrap().len(), damaged.len() as u64);
}

#[test]
fn zeroes_of_a_power_failure_are_cut() {
    let (home_dir, file) = home(&[PLAIN, &[0; 4096]].concat());
    assert!(matches!(mend(home_dir.path()).unwrap(), Mended::Cut { bytes: 4096, .. }));
    assert_eq!(fs::read(file).unwrap(), PLAIN);
}

#[test]
fn a_server_that_never_ran_has_nothing_to_mend() {
    let empty = tempfile::tempdir().unwrap();
    assert_eq!(mend(empty.path()).unwrap(), Mended::Nothing);
    assert_eq!(mend(home(b"").0.path()).unwrap(), Mended::Nothing);
}
