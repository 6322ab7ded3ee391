//! The deployment guide shows the files of `examples/deployment` and the program that they
//! start, and the times in them fit each other.

use std::fs;
use std::path::Path;

use crate::{collect_all, root};

#[test]
fn each_file_is_a_block_of_the_guide() {
    let guide = guide();
    let blocks = blocks(&guide);
    let folder = root().join("examples/deployment");
    let mut paths = Vec::new();
    collect_all(&folder, &mut paths);
    let mut files = Vec::new();
    for path in paths.iter().filter(|path| !path.ends_with("README.md")) {
        let text = fs::read_to_string(path).unwrap();
        let name = path.strip_prefix(&folder).unwrap();
        assert!(
            blocks.iter().any(|(_, block)| *block == text),
            "no block of the guide is equal to {}",
            name.display()
        );
        assert!(
            read("examples/deployment/README.md").contains(&format!("`{}`", name.display())),
            "the README does not name {}",
            name.display()
        );
        files.push(text);
    }
    assert_eq!(files.len(), 8);
    // The languages of files. A block of another language is code or a command.
    for (language, block) in blocks {
        if ["ini", "dockerfile", "yaml", "text"].contains(&language) {
            assert!(
                files.iter().any(|file| *file == block),
                "no file is equal to this block:\n{block}"
            );
        }
    }
}

#[test]
fn the_program_of_the_guide_is_the_example() {
    let guide = guide();
    let example = read("examples/deployed_echo.rs");
    let (_, program) = example
        .split_once("\n/// Each worker process runs this too")
        .unwrap();
    let found = blocks(&guide)
        .iter()
        .any(|(_, block)| block.ends_with(program));
    assert!(found, "no block of the guide ends with `main` of {example}");
    // The defaults that the guide names, and that the files rely on.
    for (option, default) in [
        ("addr", "0.0.0.0:7777"),
        ("observe", "0.0.0.0:9100"),
        ("run-dir", "/run/echo"),
    ] {
        assert!(example.contains(&format!("default_value = \"{default}\"")));
        let named = format!("--{option} {default}");
        let guide = guide.replace('\n', " ");
        assert!(guide.contains(&named), "the guide lacks `{named}`");
    }
}

#[test]
fn files_and_program_agree() {
    let example = read("examples/deployed_echo.rs");
    let seconds = |call: &str| number_after(&example, &format!(".{call}(Duration::from_secs("));
    let least = seconds("drain_delay") + seconds("drain") + 1;
    let file = |name: &str| read(&format!("examples/deployment/{name}"));
    let (service, pod) = (file("echo.service"), file("pod.yaml"));
    let limits = [
        (&service, "TimeoutStopSec="),
        (&pod, "terminationGracePeriodSeconds: "),
        (&guide(), "podman stop -t "),
    ];
    for (text, name) in limits {
        let limit = number_after(text, name);
        assert!(limit > least, "{name}{limit} is not more than {least}");
    }
    // A probe fails, and Kubernetes has time to tell the load balancers, while workers accept.
    let (_, readiness) = pod.split_once("readinessProbe:").unwrap();
    let fails =
        number_after(readiness, "periodSeconds: ") * number_after(readiness, "failureThreshold: ");
    assert!(fails < seconds("drain_delay"));

    // The names of the socket unit, the folders and the ports.
    assert!(example.contains("bind_activated(\"echo.socket\")"));
    assert!(service.contains("RuntimeDirectory=echo\n"));
    // With `mixed`, systemd killed an upgraded service at once when it was stopped.
    assert!(!service.contains("KillMode"));
    for (name, words) in [
        ("echo.socket", "ListenStream=7777\n"),
        ("Dockerfile", "EXPOSE 7777 9100\n"),
        ("Dockerfile", " /run/echo\n"),
        ("pod.yaml", "containerPort: 7777\n"),
        ("pod.yaml", "containerPort: 9100\n"),
        ("pod.yaml", "{ path: /livez, port: 9100 }"),
        ("pod.yaml", "{ path: /readyz, port: 9100 }"),
        ("prometheus.yml", "127.0.0.1:9100\""),
        ("echo.logrotate", "/run/echo/pid"),
        ("echo.logrotate", "/var/log/echo/echo.log {"),
        (
            "echo.service.d/log-file.conf",
            "--log-file /var/log/echo/echo.log\nLogsDirectory=echo\n",
        ),
        (
            "echo.service.d/before-253.conf",
            "--socket /run/echo/control.sock reload\n",
        ),
    ] {
        assert!(file(name).contains(words), "{name} lacks {words}");
    }
    // The drop-in only adds an option.
    let started = |text: &str| {
        let mut lines = text.lines();
        lines.find_map(|line| Some(line.strip_prefix("ExecStart=/")?.to_owned()))
    };
    let other = started(&file("echo.service.d/log-file.conf")).unwrap();
    assert!(other.starts_with(&started(&service).unwrap()));
}

fn guide() -> String {
    read("src/guide/deployment.md")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(Path::new(path))).unwrap()
}

/// Returns the language and the text of each fenced block.
fn blocks(text: &str) -> Vec<(&str, &str)> {
    let blocks = text.split("```").skip(1).step_by(2);
    blocks
        .map(|block| block.split_once('\n').unwrap())
        .collect()
}

fn number_after(text: &str, name: &str) -> u64 {
    let (_, rest) = text.split_once(name).unwrap_or_else(|| panic!("no {name}"));
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next().unwrap();
    digits.parse().unwrap()
}
