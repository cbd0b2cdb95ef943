//! Embeds the page: everything below `static/`, and the chart library from npm.
//!
//! Each file is stored three times, as it is, as brotli and as gzip, so that serving one costs a
//! look-up and no compression. The entity tag is a hash of the content: a browser that has the
//! same bytes gets 304.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::{env, fs};

use xxhash_rust::xxh3::xxh3_128;

/// Third-party files: path below `node_modules`, name below `/assets/`.
const FROM_NPM: [(&str, &str); 2] =
    [("uplot/dist/uPlot.esm.js", "uPlot.esm.js"), ("uplot/dist/uPlot.min.css", "uPlot.min.css")];
/// The debug build compresses less, because an unoptimised brotli at its best takes seconds.
const BROTLI_QUALITY: (u32, u32) = (4, 11);

fn main() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=static");
    let is_release = variable("PROFILE") == "release";
    let mut files = Vec::new();
    collect(&root.join("static"), "", &mut files);
    for (path, name) in FROM_NPM {
        let path = root.join("node_modules").join(path);
        println!("cargo:rerun-if-changed={}", path.display());
        if path.is_file() {
            files.push((name.to_owned(), path));
        } else {
            // A page without its chart must not be shipped; for checking code it does not matter.
            assert!(!is_release, "{} is missing: run `npm ci`", path.display());
            println!("cargo:warning={} is missing: run `npm ci`", path.display());
        }
    }
    files.sort();
    let out = PathBuf::from(variable("OUT_DIR"));
    let quality = if is_release { BROTLI_QUALITY.1 } else { BROTLI_QUALITY.0 };
    let mut table = String::from("&[\n");
    for (number, (name, path)) in files.iter().enumerate() {
        table.push_str(&embed(&out.join(format!("asset{number}")), name, path, quality));
    }
    table.push_str("]\n");
    fs::write(out.join("assets.rs"), table).expect("the build directory can be written");
}

#[expect(clippy::disallowed_methods, reason = "cargo speaks to build scripts by environment")]
fn variable(name: &str) -> String {
    env::var(name).expect("cargo sets it for build scripts")
}

/// Adds every file below `directory` with its path relative to `static/`.
fn collect(directory: &Path, prefix: &str, files: &mut Vec<(String, PathBuf)>) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        let Ok(name) = entry.file_name().into_string() else { continue };
        if name.starts_with('.') {
            continue;
        }
        let (path, name) = (entry.path(), format!("{prefix}{name}"));
        if path.is_dir() {
            collect(&path, &format!("{name}/"), files);
        } else {
            files.push((name, path));
        }
    }
}

/// Stores a file in its three forms beside `stem`, and gives its line of the table.
fn embed(stem: &Path, name: &str, path: &Path, quality: u32) -> String {
    let bytes = fs::read(path).expect("a file that was just listed can be read");
    let etag = format!("\"{:032x}\"", xxh3_128(&bytes));
    let stored = |suffix: &str, bytes: &[u8]| {
        let file = stem.with_extension(suffix);
        fs::write(&file, bytes).expect("the build directory can be written");
        format!("include_bytes!({:?})", file.display().to_string())
    };
    format!(
        "    Asset {{ path: {name:?}, content_type: {:?}, etag: {etag:?}, identity: {}, \
         brotli: {}, gzip: {} }},\n",
        content_type(name),
        stored("raw", &bytes),
        stored("br", &brotli(&bytes, quality)),
        stored("gz", &gzip(&bytes)),
    )
}

fn brotli(bytes: &[u8], quality: u32) -> Vec<u8> {
    let mut packed = Vec::new();
    brotli::CompressorReader::new(bytes, 4096, quality, 22)
        .read_to_end(&mut packed)
        .expect("compressing memory cannot fail");
    packed
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).expect("compressing memory cannot fail");
    encoder.finish().expect("compressing memory cannot fail")
}

/// The type of a file by its name; the page has no other kinds.
fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" => "application/json",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        other => panic!("static/{name}: no content type is known for .{other}"),
    }
}
