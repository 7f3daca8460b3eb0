pub mod console;
pub mod study;
