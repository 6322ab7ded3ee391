//! The storm of `examples/storm`, run as a user runs it.

use std::collections::{HashMap, VecDeque};
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use crate::program::{PATIENCE, program};

/// Killed if the test fails.
pub struct Storm {
    process: Child,
    input: Option<ChildStdin>,
    /// Read by a thread, so that silence can be noticed.
    output: Receiver<Said>,
    /// As far as it has told its progress.
    answered: Arc<AtomicU64>,
    /// Heard, and not yet asked for.
    kept: VecDeque<Said>,
}

/// A line of its output: a word, and values by their names.
#[derive(Debug)]
pub struct Said {
    pub what: String,
    values: HashMap<String, u64>,
}

/// How it went.
#[derive(Debug)]
pub struct Summary {
    pub said: Said,
    pub status: ExitStatus,
}

impl Storm {
    pub fn start(address: SocketAddr, arguments: &[&str]) -> Storm {
        let mut process = Command::new(program("storm"))
            .args(["--addr", &address.to_string()])
            .arg("--quiet")
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let (said, output) = channel();
        let answered = Arc::new(AtomicU64::new(0));
        let progress = Arc::clone(&answered);
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let line = Said::parse(&line);
                progress.fetch_max(line.number("answered"), Ordering::Relaxed);
                if said.send(line).is_err() {
                    break;
                }
            }
        });
        Storm {
            input: process.stdin.take(),
            output,
            answered,
            kept: VecDeque::new(),
            process,
        }
    }

    /// What it says next.
    #[track_caller]
    pub fn hear(&mut self) -> Said {
        if let Some(said) = self.kept.pop_front() {
            return said;
        }
        let said = self.output.recv_timeout(2 * PATIENCE);
        said.unwrap_or_else(|error| panic!("the storm says nothing: {error}"))
    }

    /// Waits for a line that begins with this word.
    #[track_caller]
    pub fn await_word(&mut self, what: &str) -> Said {
        loop {
            let said = self.hear();
            if said.what == what {
                return said;
            }
            assert_ne!(said.what, "summary", "the storm is over: {said:?}");
        }
    }

    /// Waits until there have been so many more answers than now.
    #[track_caller]
    pub fn await_answers(&mut self, more: u64) {
        let enough = self.answered.load(Ordering::Relaxed) + more;
        let mut heard = VecDeque::new();
        while heard
            .back()
            .is_none_or(|said: &Said| said.number("answered") < enough)
        {
            heard.push_back(self.hear());
        }
        self.kept = heard;
    }

    /// Has it end, and hears how it went.
    pub fn stop(mut self) -> Summary {
        // It may have ended by itself.
        let _ = self.input.take().unwrap().write_all(b"stop\n");
        self.finish()
    }

    /// Waits until it ends by itself, and hears how it went.
    pub fn finish(mut self) -> Summary {
        let said = self.await_word("summary");
        let status = self.process.wait().unwrap();
        Summary { said, status }
    }
}

impl Drop for Storm {
    fn drop(&mut self) {
        // Fails if it has ended already, as it should have.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Said {
    /// What is not mentioned has not happened.
    pub fn number(&self, name: &str) -> u64 {
        self.values.get(name).copied().unwrap_or(0)
    }

    fn parse(line: &str) -> Said {
        let mut words = line.split(' ');
        let what = words.next().unwrap().to_owned();
        let value = |word: &str| {
            let (name, value) = word.split_once('=').unwrap();
            (name.to_owned(), value.parse().unwrap())
        };
        Said {
            what,
            values: words.map(value).collect(),
        }
    }
}

impl Summary {
    pub fn number(&self, name: &str) -> u64 {
        self.said.number(name)
    }

    /// Nothing at all went wrong, in so many answers at least.
    #[track_caller]
    pub fn assert_flawless(&self, answers: u64) {
        assert_eq!(self.number("failed"), 0, "{self:?}");
        assert!(self.number("answered") >= answers, "{self:?}");
        assert!(self.status.success(), "{self:?}");
    }
}
