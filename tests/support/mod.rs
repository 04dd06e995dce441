//! What the rooms' tests share.
#![allow(dead_code, reason = "each room uses its own part")]

pub mod name_server;

pub mod bad_messages;
pub mod config;
pub mod http_server;
pub mod notice_reader;
pub mod service;
pub mod smtp_server;
