//! demo
pub(super) fn run() -> u8 {
    super::FAILED
}
