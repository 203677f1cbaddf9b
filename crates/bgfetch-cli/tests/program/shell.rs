//! Completions, manual pages and exit codes.

use std::fs;
use std::process::{Command, Stdio};

use crate::fixture::{PROGRAM, Running};

fn run(arguments: &[&str]) -> Vec<String> {
    let mut command = Command::new(PROGRAM);
    command.args(arguments);
    Running::spawn(command).end().success().to_vec()
}

#[test]
fn bash_completes_commands_and_options() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("bgfetch.bash");
    fs::write(&script, run(&["completions", "bash"]).join("\n")).unwrap();
    let complete = |words: &str, position: usize| {
        let test = format!(
            "source {}; COMP_WORDS=({words}); COMP_CWORD={position}; \
             _bgfetch bgfetch \"${{COMP_WORDS[{position}]}}\" \"\"; echo \"${{COMPREPLY[@]}}\"",
            script.display()
        );
        let output =
            Command::new("bash").args(["--norc", "-c", &test]).stdin(Stdio::null()).output();
        let Ok(output) = output else {
            return None;
        };
        assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
        Some(String::from_utf8(output.stdout).unwrap().trim().to_owned())
    };
    let Some(command) = complete("bgfetch pa", 1) else {
        eprintln!("skipped: bash is not installed");
        return;
    };
    assert_eq!(command, "pause");
    assert_eq!(complete("bgfetch get --check", 2).unwrap(), "--checksum");
}

#[test]
fn every_shell_has_completions() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let lines = run(&["completions", shell]);
        assert!(lines.iter().any(|line| line.contains("limit-rate")), "{shell}");
    }
}

#[test]
fn each_command_has_a_manual_page_with_its_options_and_examples() {
    let folder = tempfile::tempdir().unwrap();
    let pages = run(&["man", folder.path().join("man1").to_str().unwrap()]);
    for name in ["bgfetch.1", "bgfetch-get.1", "bgfetch-list.1", "bgfetch-dismiss.1"] {
        assert!(pages.iter().any(|page| page == name), "{name}: {pages:?}");
    }
    assert!(!pages.iter().any(|page| page.contains("help") || page.contains("completions")));
    for page in &pages {
        let text = fs::read_to_string(folder.path().join("man1").join(page)).unwrap();
        let wanted = if page == "bgfetch.1" { ".SH \"EXIT CODES\"" } else { ".SH EXAMPLE" };
        let wanted = wanted.replace('"', "");
        assert!(text.contains(".SH NAME") && text.contains(&wanted), "{page}: {text}");
    }
    let get = fs::read_to_string(folder.path().join("man1/bgfetch-get.1")).unwrap();
    assert!(get.contains("\\-\\-limit\\-rate"), "{get}");
}

#[test]
fn what_the_program_prints_has_no_colours() {
    for arguments in [&["--help"][..], &["get", "--help"], &["--version"]] {
        let mut command = Command::new(PROGRAM);
        command.args(arguments).env("NO_COLOR", "1").env("CLICOLOR_FORCE", "1");
        let ended = Running::spawn(command).end();
        assert!(!ended.success().concat().contains('\u{1b}'), "{ended:#?}");
    }
}
