//! The commands as an administrator runs them: the real binary.

mod check;
mod credential;
mod demo;
mod import;
mod man_pages;
mod sandbox;
mod serve;
mod site;
mod terminal;
mod try_postfix;
