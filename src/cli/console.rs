use anyhow::Result;
pub struct Console { pub json: bool, pub quiet: bool }
impl Console {
    pub fn result(&self, json: &serde_json::Value, text: impl FnOnce() -> String) -> Result<()> {
        if self.json { println!("{json}") } else { println!("{}", text()) }
        Ok(())
    }
    pub fn log(&self, line: &str) { if !self.quiet { eprintln!("{line}") } }
    pub fn progress(&self) -> bool { use std::io::IsTerminal; !self.quiet && std::io::stderr().is_terminal() }
}
