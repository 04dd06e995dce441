//! What other users of the machine cannot do: with links that they plant where root works, with files that they lock, with a
//! spool that they may write to.
//!
//! The service's user is one of them here: whoever has taken it over must not get more by waiting for root.

mod site;
mod spool;
mod state_dir;
