//! Writes the documents about options, commands and clauses: `cargo run --example words`. A test says when they are out of date.

#[path = "../tests/words/mod.rs"]
mod words;

fn main() -> std::io::Result<()> {
    for (path, text) in words::files() {
        if std::fs::read_to_string(&path).ok().as_ref() != Some(&text) {
            std::fs::write(&path, text)?;
            println!("{}", path.display());
        }
    }
    Ok(())
}
