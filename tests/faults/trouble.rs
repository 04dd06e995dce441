//! The troubles of a campaign: two decks of cards, one for the application and one for everything else. Each deck is
//! shuffled by the seed and played to its end at least once; their troubles overlap.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::application::{Application, HANG, Mode, elsewhere};
use crate::links::PlantedLinks;
use crate::seed::Seed;
use crate::site::{FullDisk, Mistake, PATIENCE, Site};
use crate::support::http_server::Fault;
use crate::support::process::run;
use crate::support::redis::Redis;
use crate::support::site::Variant;

/// What else can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Trouble {
    Kill,
    KillAgainAtOnce,
    /// Right after the application has acknowledged: before its answer arrives, before the record, before the reply.
    KillAtAcknowledgement,
    /// The service has no more memory; a process of pipe has so little to do that it would not notice.
    OutOfMemory,
    Terminate,
    Reload,
    BrokenConfiguration,
    UnknownHost,
    UntrustedCertificate,
    SilentNameServer,
    FullDisk,
    LockedLedger,
    PostfixStopped,
    PostfixAborted,
    /// The wall clock jumps by 40 days, and back.
    ClockAhead,
    ClockBack,
    /// Somebody else fills the state directory with links.
    PlantedLinks,
}

/// How often each trouble is played for how often it was drawn.
pub type Played = BTreeMap<String, usize>;

fn system_deck(variant: Variant) -> Vec<Trouble> {
    use Trouble::*;
    let kills = [Kill, Kill, Kill, Kill, KillAgainAtOnce, KillAgainAtOnce];
    let timed = [KillAtAcknowledgement; 5];
    let others = [
        OutOfMemory,
        OutOfMemory,
        FullDisk,
        LockedLedger,
        Terminate,
        Terminate,
        Reload,
        BrokenConfiguration,
        UnknownHost,
        UntrustedCertificate,
        SilentNameServer,
        FullDisk,
        LockedLedger,
        PostfixStopped,
        PostfixAborted,
        ClockAhead,
        ClockBack,
        PlantedLinks,
    ];
    let mut deck = [&kills[..], &timed, &others].concat();
    deck.retain(|trouble| *trouble != OutOfMemory || variant == Variant::Lmtp);
    // To look closer at one.
    if let Some(only) = crate::from_environment::<String>("MAILHATCH_FAULTS_ONLY") {
        deck.retain(|trouble| format!("{trouble:?}") == only);
    }
    deck
}

/// Plays until it is told to stop, and at least one whole deck.
pub fn trouble_everything_else(site: &Site, application: &Application, seed: u64, stop: &AtomicBool) -> Played {
    let mut random = Seed::new(seed, 2);
    let mut played = Played::new();
    loop {
        let mut deck = system_deck(site.variant);
        random.shuffle(&mut deck);
        for trouble in deck {
            if stop.load(Ordering::SeqCst) && played.values().sum::<usize>() >= system_deck(site.variant).len() {
                return played;
            }
            *played.entry(format!("{trouble:?}")).or_default() += 1;
            if std::env::var_os("MAILHATCH_FAULTS_VERBOSE").is_some() {
                println!("{:?} {trouble:?}", std::time::Instant::now());
            }
            cause(site, application, trouble, &mut random);
            sleep(random.time(100, 700));
        }
    }
}

fn cause(site: &Site, application: &Application, trouble: Trouble, random: &mut Seed) {
    match trouble {
        Trouble::Kill => kill(site, random, 1),
        Trouble::KillAgainAtOnce => kill(site, random, 2),
        Trouble::KillAtAcknowledgement => {
            let microseconds = random.below(6000);
            if let Some(whose) = application.next_acknowledged(Duration::from_secs(2)) {
                sleep(Duration::from_micros(microseconds));
                site.kill_at(&whose);
                sleep(random.time(0, 300));
                site.start_service();
            }
        }
        Trouble::Terminate => {
            site.stop_service();
            sleep(random.time(0, 500));
            site.start_service();
        }
        Trouble::OutOfMemory => {
            if site.starve(random.below(256) * 1024, Duration::from_secs(4)) {
                site.start_service();
            }
        }
        Trouble::Reload => site.reload_service(),
        Trouble::BrokenConfiguration => mistake(site, Mistake::Broken, random),
        Trouble::UnknownHost => mistake(site, Mistake::UnknownHost, random),
        Trouble::UntrustedCertificate => mistake(site, Mistake::UntrustedCertificate, random),
        Trouble::SilentNameServer => {
            site.silence_names(true);
            sleep(random.time(500, 3000));
            site.silence_names(false);
        }
        Trouble::FullDisk => {
            let _full = FullDisk::fill(&site.state());
            sleep(random.time(300, 2000));
        }
        Trouble::LockedLedger => {
            // There is none before the first message.
            let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE;
            if let Ok(ledger) = rusqlite::Connection::open_with_flags(site.state().join("ledger.sqlite"), flags) {
                ledger.busy_timeout(Duration::from_secs(10)).unwrap();
                ledger.execute_batch("BEGIN EXCLUSIVE").unwrap();
                // Mailhatch waits for two seconds.
                sleep(random.time(500, 4000));
            }
        }
        Trouble::PostfixStopped => restart_postfix(site, "stop", random),
        Trouble::PostfixAborted => restart_postfix(site, "abort", random),
        Trouble::ClockAhead => jump(site, "+40d", random),
        Trouble::ClockBack => jump(site, "-40d", random),
        Trouble::PlantedLinks => {
            let _links = PlantedLinks::plant(&site.state(), &site.victim());
            // Root looks after things; what it says of them is not the point.
            run(Command::new(site.program()).arg("--config").arg(site.config()).args(["held", "purge"]));
            sleep(random.time(300, 2000));
        }
    }
}

fn kill(site: &Site, random: &mut Seed, times: usize) {
    // Of the pipe processes each has one message only, so there are more to kill.
    let times = if site.variant == Variant::Pipe { times * 6 } else { times };
    for _ in 0..times {
        site.kill(random.next());
        sleep(random.time(0, if site.variant == Variant::Pipe { 150 } else { 800 }));
        site.start_service();
    }
}

/// While it lasts, mail comes in, and what is past its time is looked for.
fn jump(site: &Site, offset: &str, random: &mut Seed) {
    site.set_clock(offset);
    // What was read of the clock holds for a second.
    sleep(random.time(1100, 2500));
    look_after(site);
    site.set_clock("+0");
    sleep(Duration::from_millis(1100));
    look_after(site);
}

/// What it says goes where the service writes.
fn look_after(site: &Site) {
    let said = run(&mut site.mailhatch(&["held", "purge"]));
    let mut log = File::options().create(true).append(true).open(site.log_file()).unwrap();
    log.write_all(&said.stderr).unwrap();
}

fn mistake(site: &Site, mistake: Mistake, random: &mut Seed) {
    site.configure(mistake);
    site.reload_service();
    sleep(random.time(300, 1500));
    site.configure(Mistake::None);
    site.reload_service();
}

fn restart_postfix(site: &Site, how: &str, random: &mut Seed) {
    site.end_postfix(how);
    sleep(random.time(0, 500));
    site.start_postfix();
}

/// What can go wrong with the ledger that hosts share. Nobody empties it: that alone would leave no line behind.
#[derive(Clone, Copy, Debug)]
enum StoreTrouble {
    RedisKilled,
    RedisStopped,
    ScriptsForgotten,
    ConnectionsClosed,
}

/// The same for that ledger.
pub fn trouble_the_store(redis: &mut Redis, seed: u64, stop: &AtomicBool) -> Played {
    use StoreTrouble::*;
    let mut random = Seed::new(seed, 4);
    let mut played = Played::new();
    let everything = [RedisKilled, RedisKilled, RedisStopped, RedisStopped, ScriptsForgotten, ConnectionsClosed];
    loop {
        let mut deck = everything;
        random.shuffle(&mut deck);
        for trouble in deck {
            if stop.load(Ordering::SeqCst) && played.values().sum::<usize>() >= everything.len() {
                return played;
            }
            *played.entry(format!("{trouble:?}")).or_default() += 1;
            if std::env::var_os("MAILHATCH_FAULTS_VERBOSE").is_some() {
                println!("{:?} {trouble:?}", std::time::Instant::now());
            }
            match trouble {
                RedisKilled => {
                    redis.kill();
                    sleep(random.time(0, 1500));
                    redis.start_again();
                }
                RedisStopped => {
                    redis.signal(Signal::SIGSTOP);
                    sleep(random.time(200, 3000));
                    redis.signal(Signal::SIGCONT);
                }
                ScriptsForgotten => drop(redis.ask(&["SCRIPT", "FLUSH"])),
                ConnectionsClosed => drop(redis.ask(&["CLIENT", "KILL", "TYPE", "normal"])),
            }
            sleep(random.time(300, 3000));
        }
    }
}

fn application_deck() -> Vec<Mode> {
    let faults = Fault::ALL.into_iter().filter(|fault| !elsewhere(*fault)).map(Mode::Fails);
    let more = [Mode::Away, Mode::Gone, Mode::Gone, Mode::Mixed, Mode::Mixed, Mode::Mixed, Mode::Mixed];
    let again = [Fault::ShortAnswer, Fault::ClosedWithoutAnswer, Fault::Garbage].map(Mode::Fails);
    faults.chain(more).chain(again).collect()
}

/// The same for the application.
pub fn trouble_the_application(application: &Application, seed: u64, stop: &AtomicBool) -> Played {
    let mut random = Seed::new(seed, 3);
    let mut played = Played::new();
    let everything = application_deck().len();
    loop {
        let mut deck = application_deck();
        random.shuffle(&mut deck);
        for mode in deck {
            if stop.load(Ordering::SeqCst) && played.values().sum::<usize>() >= everything {
                application.set(Mode::Works);
                return played;
            }
            *played.entry(format!("{mode:?}")).or_default() += 1;
            application.set(mode);
            sleep(match mode {
                Mode::Fails(Fault::Hang) => HANG + random.time(0, 500),
                Mode::Mixed => random.time(500, 2500),
                Mode::Away => PATIENCE + random.time(2000, 6000),
                _ => random.time(100, 500),
            });
            application.set(Mode::Works);
            sleep(random.time(100, 700));
        }
    }
}
