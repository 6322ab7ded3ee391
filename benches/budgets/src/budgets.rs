//! The file of the budgets.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::operation::Operation;
use crate::system_calls::Calls;
use crate::tools::Tools;

const HEADING: &str = "\
# The budgets of operations of coreloop. Written by
#
#     cargo run --profile budgets -p coreloop-budgets -- --write
#
# README.md describes each operation. A commit that raises a figure says why.

";

/// Counts, and the tools that counted them.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Budgets {
    pub(crate) tools: Tools,
    pub(crate) instructions: BTreeMap<Operation, f64>,
    pub(crate) system_calls_per_echo: Calls,
}

impl Budgets {
    /// Reads the file. There are no budgets if it does not exist.
    pub(crate) fn read(file: &Path) -> io::Result<Budgets> {
        let text = match fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Budgets::default()),
            Err(error) => return Err(error),
        };
        toml::from_str(&text).map_err(|error| {
            let message = format!("{}: {error}", file.display());
            io::Error::new(ErrorKind::InvalidData, message)
        })
    }

    /// Returns these budgets with the new counts. Old figures are kept if they can still be
    /// compared with the new ones.
    pub(crate) fn replaced_by(mut self, counted: Budgets) -> io::Result<Budgets> {
        if !counted.instructions.is_empty() {
            let left = |operation| !counted.instructions.contains_key(operation);
            if self.tools != counted.tools && self.instructions.keys().any(left) {
                return Err(io::Error::other(
                    "the other budgets were counted with other tools: count all instructions again",
                ));
            }
            self.tools = counted.tools;
            self.instructions.extend(counted.instructions);
        }
        if !counted.system_calls_per_echo.is_empty() {
            self.system_calls_per_echo = counted.system_calls_per_echo;
        }
        Ok(self)
    }

    /// Writes the file.
    pub(crate) fn write(mut self, file: &Path) -> io::Result<()> {
        for figure in self.instructions.values_mut() {
            *figure = (*figure * 100.0).round() / 100.0;
        }
        let text = toml::to_string(&self).map_err(io::Error::other)?;
        fs::write(file, format!("{HEADING}{text}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken_with(rustc: &str, figures: &[(Operation, f64)]) -> Budgets {
        let mut budgets = Budgets::default();
        budgets.tools.rustc = rustc.to_owned();
        budgets.instructions.extend(figures.iter().copied());
        budgets
    }

    #[test]
    fn a_single_figure_replaces_its_own() -> io::Result<()> {
        let all = taken_with("1", &[(Operation::Mutex, 40.0), (Operation::Mpsc, 90.0)]);
        let one = taken_with("1", &[(Operation::Mutex, 41.0)]);
        let both = all.replaced_by(one)?.instructions;
        let expected = [(Operation::Mutex, 41.0), (Operation::Mpsc, 90.0)];
        assert_eq!(both, BTreeMap::from(expected));
        Ok(())
    }

    #[test]
    fn figures_of_two_compilers_are_not_mixed() {
        let all = taken_with("1", &[(Operation::Mutex, 40.0), (Operation::Mpsc, 90.0)]);
        let one = taken_with("2", &[(Operation::Mutex, 41.0)]);
        assert!(all.replaced_by(one).is_err());

        let all = taken_with("1", &[(Operation::Mutex, 40.0)]);
        let same = taken_with("2", &[(Operation::Mutex, 41.0)]);
        assert!(all.replaced_by(same).is_ok());
    }
}
