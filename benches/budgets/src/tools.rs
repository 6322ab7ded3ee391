//! The tools that affect the number of instructions.

use std::env::consts::ARCH;
use std::io;
use std::process::Command;

use serde::{Deserialize, Serialize};

use crate::child::missing;

/// The compiler, which chooses the instructions; the C library, whose `malloc` and `memcpy`
/// are counted too; and valgrind, which determines the processor that the library detects.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tools {
    pub(crate) architecture: String,
    pub(crate) rustc: String,
    pub(crate) libc: String,
    pub(crate) valgrind: String,
}

impl Tools {
    /// Returns the tools on this machine.
    pub(crate) fn here() -> io::Result<Tools> {
        let valgrind = answer("valgrind", "--version");
        Ok(Tools {
            architecture: ARCH.to_owned(),
            rustc: env!("COMPILER").to_owned(),
            libc: answer("getconf", "GNU_LIBC_VERSION").unwrap_or_else(|_| "unknown".to_owned()),
            valgrind: valgrind.map_err(|error| missing("valgrind", &error))?,
        })
    }

    /// Returns each tool with its name.
    pub(crate) fn named(&self) -> [(&'static str, &str); 4] {
        [
            ("architecture", &self.architecture),
            ("rustc", &self.rustc),
            ("libc", &self.libc),
            ("valgrind", &self.valgrind),
        ]
    }
}

fn answer(program: &str, question: &str) -> io::Result<String> {
    let output = Command::new(program).arg(question).output()?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workflow_counts_with_the_tools_of_the_budgets() {
        #[derive(Deserialize)]
        struct Budgets {
            tools: Tools,
        }
        let budgets: Budgets = toml::from_str(include_str!("../budgets.toml")).unwrap();
        let compiler = budgets.tools.rustc.split(' ').nth(1).unwrap();
        let image = format!("container: rust:{compiler}-");
        let workflow = include_str!("../../../.github/workflows/ci.yml");
        assert!(
            workflow.contains(&image),
            "budgets.toml was taken with rustc {compiler}: \
             the job `budgets` in .github/workflows/ci.yml needs that image"
        );
    }
}
