//! The commands as an administrator runs them: the real binary.

mod check;
mod fence;
mod import;
mod serve;
mod site;
