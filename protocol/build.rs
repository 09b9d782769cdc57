//! Generates the message types from the schema files.

#[path = "codegen/emit.rs"]
mod emit;
#[path = "codegen/parse.rs"]
mod parse;

use std::{env, fs, path::Path};

fn main() {
    println!("cargo:rerun-if-changed=schemas");
    println!("cargo:rerun-if-changed=codegen");
    let mut schemas = Vec::new();
    for folder in ["api", "metadata", "coordinator", "tiering", "data"] {
        let folder = Path::new("schemas").join(folder);
        let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        for entry in entries {
            let path = entry
                .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
                .path();
            let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            schemas.push(parse::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display())));
        }
    }
    schemas.sort_by(|a, b| a.messages[0].name.cmp(&b.messages[0].name));
    let target = Path::new(&env::var("OUT_DIR").expect("cargo sets OUT_DIR")).join("messages.rs");
    fs::write(&target, emit::emit(&schemas)).unwrap_or_else(|error| panic!("{}: {error}", target.display()));
}
