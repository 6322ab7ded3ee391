//! Compares figures with their budgets.

use crate::tools::Tools;

/// How far a figure may be above its budget, as a fraction of the budget.
const LIMIT: f64 = 0.03;
/// The same if the tools differ: a compiler mostly changes less.
const LOOSE: f64 = 0.10;
/// The tolerance for system calls, which are counted exactly, covers rounding in the file.
const ROUNDING: f64 = 0.000_1;

const COMMAND: &str = "cargo run --profile budgets -p coreloop-budgets -- --write";

/// The unit of a figure.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Unit {
    Instructions,
    SystemCalls,
}

/// The result of comparing a figure with its budget.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Verdict {
    Within,
    Above,
    Below,
    /// There is no budget.
    Unknown,
    /// The figure cannot be compared.
    Foreign,
}

/// Prints figures, and remembers those that are out of bounds.
#[derive(Debug)]
pub(crate) struct Judge {
    /// The limit for instructions, or `None` if they cannot be compared.
    limit: Option<f64>,
    /// Whether the figures become the new budgets, so that none fails.
    writing: bool,
    failures: Vec<String>,
    lower: usize,
}

impl Judge {
    pub(crate) fn new(writing: bool) -> Judge {
        Judge {
            limit: Some(LIMIT),
            writing,
            failures: Vec::new(),
            lower: 0,
        }
    }

    /// Sets the limit. If the tools differ from the tools of the budgets, prints a note, and
    /// the limit is a looser one or none.
    pub(crate) fn compare_tools(&mut self, taken_with: &Tools, here: &Tools) {
        self.limit = limit(taken_with, here);
        if taken_with == here {
            return;
        }
        println!("NOTE: the budgets were counted with other tools:");
        for ((name, then), (_, now)) in taken_with.named().into_iter().zip(here.named()) {
            if then != now {
                println!("    {name}: {then}; here {now}");
            }
        }
        match self.limit {
            _ if self.writing => {}
            Some(limit) => println!(
                "Instructions fail only if they are {} above.",
                percent(limit)
            ),
            None => println!("Instructions are printed and not judged."),
        }
    }

    /// Prints a title for the figures that follow.
    #[expect(
        clippy::unused_self,
        reason = "titles are printed by the judge, like figures"
    )]
    pub(crate) fn title(&self, title: &str) {
        println!("\n{title:<48} {:>10} {:>10}", "counted", "budget");
    }

    /// Prints a figure beside its budget.
    pub(crate) fn compare(&mut self, unit: Unit, name: &str, count: f64, budget: Option<f64>) {
        let (digits, limit) = match unit {
            Unit::Instructions => (2, self.limit),
            Unit::SystemCalls => (4, Some(0.0)),
        };
        let then = budget.map_or_else(|| "none".to_owned(), |budget| format!("{budget:.digits$}"));
        let change = change(count, budget);
        let verdict = verdict(count, budget, limit);
        let remark = match verdict {
            _ if self.writing => "",
            Verdict::Above | Verdict::Unknown => "   FAILED",
            Verdict::Below => "   can be lowered",
            Verdict::Within | Verdict::Foreign => "",
        };
        println!("{name:<48} {count:>10.digits$} {then:>10} {change:>9}{remark}");
        match verdict {
            Verdict::Above | Verdict::Unknown => self.failures.push(format!(
                "{name}: {count:.digits$} {}, but the budget is {then} ({change}; at most +{} is allowed)",
                unit.name(),
                percent(limit.unwrap_or_default()),
            )),
            Verdict::Below => self.lower += 1,
            Verdict::Within | Verdict::Foreign => {}
        }
    }

    /// Prints a number of system calls beside its bound, which it may not exceed.
    pub(crate) fn bound(&mut self, name: &str, count: f64, bound: f64) {
        let is_above = count > bound + ROUNDING;
        let remark = if is_above { "   FAILED" } else { "" };
        println!("{name:<48} {count:>10.4} {bound:>10.4}{remark}");
        if is_above {
            self.failures.push(format!(
                "{name}: {count:.4} system calls, the bound is {bound:.4}"
            ));
        }
    }

    /// Prints what to do, and returns whether all figures are within their budgets.
    pub(crate) fn sum_up(&self) -> bool {
        if self.lower > 0 {
            println!(
                "\nNOTE: {} can be lowered to the counted figures:\n    {COMMAND}",
                figures(self.lower, "budget")
            );
        }
        if self.failures.is_empty() {
            println!("\nall figures are within their budgets");
            return true;
        }
        println!(
            "\nFAILED: {} above budget",
            figures(self.failures.len(), "figure")
        );
        for failure in &self.failures {
            println!("    {failure}");
        }
        println!(
            "Find what costs more: benches/budgets/README.md says how. If it is worth that,\n\
             raise the budget, in a commit that says why:\n    {COMMAND}"
        );
        false
    }
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Unit::Instructions => "instructions",
            Unit::SystemCalls => "calls an echo",
        }
    }
}

/// Returns how far above its budget a number of instructions may be.
fn limit(taken_with: &Tools, here: &Tools) -> Option<f64> {
    if taken_with == here {
        Some(LIMIT)
    } else if taken_with.architecture == here.architecture {
        Some(LOOSE)
    } else {
        None
    }
}

fn verdict(count: f64, budget: Option<f64>, limit: Option<f64>) -> Verdict {
    let Some(budget) = budget else {
        return Verdict::Unknown;
    };
    let Some(limit) = limit else {
        return Verdict::Foreign;
    };
    let room = (budget * limit).max(ROUNDING);
    if count > budget + room {
        Verdict::Above
    } else if count < budget - room && limit <= LIMIT {
        Verdict::Below
    } else {
        Verdict::Within
    }
}

fn change(count: f64, budget: Option<f64>) -> String {
    match budget {
        None | Some(0.0) => "new".to_owned(),
        Some(budget) => format!("{:+.1} %", 100.0 * (count / budget - 1.0)),
    }
}

fn percent(share: f64) -> String {
    format!("{:.0} %", 100.0 * share)
}

fn figures(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rise_over_three_percent_fails() {
        let of = |count| verdict(count, Some(100.0), Some(LIMIT));
        assert_eq!(of(103.01), Verdict::Above);
        assert_eq!(of(102.99), Verdict::Within);
        assert_eq!(of(97.01), Verdict::Within);
        assert_eq!(of(96.99), Verdict::Below);
    }

    #[test]
    fn a_system_call_more_fails_however_rare_it_is() {
        let of = |count, budget| verdict(count, Some(budget), Some(0.0));
        assert_eq!(of(1.0 / 16.0, 0.0625), Verdict::Within);
        assert_eq!(of(2.0 / 16.0, 0.0625), Verdict::Above);
        assert_eq!(of(1.0 / 1600.0, 0.0), Verdict::Above);
        assert_eq!(of(0.0, 1.0), Verdict::Below);
    }

    #[test]
    fn other_tools_say_nothing_about_lower_budgets() {
        assert_eq!(verdict(50.0, Some(100.0), Some(LIMIT)), Verdict::Below);
        assert_eq!(verdict(50.0, Some(100.0), Some(LOOSE)), Verdict::Within);
    }

    #[test]
    fn what_has_no_budget_is_not_within_it() {
        assert_eq!(verdict(1.0, None, Some(LIMIT)), Verdict::Unknown);
        assert_eq!(verdict(1.0, None, None), Verdict::Unknown);
    }

    #[test]
    fn other_tools_have_another_limit_and_other_processors_none() {
        let tools = |architecture: &str, rustc: &str| Tools {
            architecture: architecture.to_owned(),
            rustc: rustc.to_owned(),
            ..Tools::default()
        };
        let taken_with = tools("x86_64", "rustc 1");
        assert_eq!(limit(&taken_with, &tools("x86_64", "rustc 1")), Some(LIMIT));
        assert_eq!(limit(&taken_with, &tools("x86_64", "rustc 2")), Some(LOOSE));
        assert_eq!(limit(&taken_with, &tools("aarch64", "rustc 1")), None);
    }
}
