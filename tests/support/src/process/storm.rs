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

/// A storm, which is killed if the test fails.
pub struct Storm {
    process: Child,
    input: Option<ChildStdin>,
    /// The output, which a thread reads so that a test can stop waiting.
    output: Receiver<StormLine>,
    /// The number of answers that the storm has reported last.
    answered: Arc<AtomicU64>,
    /// Lines that were read, and that no test has asked for yet.
    kept: VecDeque<StormLine>,
}

/// A line of its output: a word, and values by their names.
#[derive(Debug)]
pub struct StormLine {
    pub what: String,
    values: HashMap<String, u64>,
}

/// The result of a storm.
#[derive(Debug)]
pub struct Summary {
    pub said: StormLine,
    pub status: ExitStatus,
}

impl Storm {
    pub fn start(address: SocketAddr, arguments: &[&str]) -> Self {
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
                let line = StormLine::parse(&line);
                progress.fetch_max(line.number("answered"), Ordering::Relaxed);
                if said.send(line).is_err() {
                    break;
                }
            }
        });
        Self {
            input: process.stdin.take(),
            output,
            answered,
            kept: VecDeque::new(),
            process,
        }
    }

    /// Returns the next line.
    #[track_caller]
    pub fn next_line(&mut self) -> StormLine {
        if let Some(said) = self.kept.pop_front() {
            return said;
        }
        let said = self.output.recv_timeout(2 * PATIENCE);
        said.unwrap_or_else(|error| panic!("the storm says nothing: {error}"))
    }

    /// Waits for a line that begins with this word.
    #[track_caller]
    pub fn await_word(&mut self, what: &str) -> StormLine {
        loop {
            let said = self.next_line();
            if said.what == what {
                return said;
            }
            assert_ne!(said.what, "summary", "the storm has ended: {said:?}");
        }
    }

    /// Waits until there have been this many more answers than now.
    #[track_caller]
    pub fn await_answers(&mut self, more: u64) {
        let enough = self.answered.load(Ordering::Relaxed) + more;
        let mut heard = VecDeque::new();
        while heard
            .back()
            .is_none_or(|said: &StormLine| said.number("answered") < enough)
        {
            heard.push_back(self.next_line());
        }
        self.kept = heard;
    }

    /// Stops the storm, and returns its result.
    pub fn stop(mut self) -> Summary {
        // This fails if the storm has ended by itself.
        let _ = self.input.take().unwrap().write_all(b"stop\n");
        self.finish()
    }

    /// Waits until the storm has ended by itself, and returns its result.
    pub fn finish(mut self) -> Summary {
        let said = self.await_word("summary");
        let status = self.process.wait().unwrap();
        Summary { said, status }
    }
}

impl Drop for Storm {
    fn drop(&mut self) {
        // Fails if the process has ended, as it should have.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl StormLine {
    /// Returns a value by its name. A value that is missing is 0.
    pub fn number(&self, name: &str) -> u64 {
        self.values.get(name).copied().unwrap_or(0)
    }

    fn parse(line: &str) -> Self {
        let mut words = line.split(' ');
        let what = words.next().unwrap().to_owned();
        let value = |word: &str| {
            let (name, value) = word.split_once('=').unwrap();
            (name.to_owned(), value.parse().unwrap())
        };
        Self {
            what,
            values: words.map(value).collect(),
        }
    }
}

impl Summary {
    pub fn number(&self, name: &str) -> u64 {
        self.said.number(name)
    }

    /// Checks that no connection failed, and that there were at least this many answers.
    #[track_caller]
    pub fn assert_flawless(&self, answers: u64) {
        assert_eq!(self.number("failed"), 0, "{self:?}");
        assert!(self.number("answered") >= answers, "{self:?}");
        assert!(self.status.success(), "{self:?}");
    }
}
