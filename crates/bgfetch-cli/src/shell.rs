//! What packages install beside the program: completions for shells, and manual pages.

use std::io;
use std::path::Path;

use clap::{Command, CommandFactory as _};
use clap_complete::Shell;
use clap_mangen::Man;

use crate::args::Args;
use crate::exit::{Failure, Outcome};
use crate::output::Stdout;

/// Prints the completions for a shell.
pub(crate) fn completions(shell: Shell) {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "bgfetch", &mut script);
    Stdout::default().text(&String::from_utf8_lossy(&script));
}

/// Writes a manual page for the program and for each of its commands.
///
/// # Errors
///
/// The directory cannot be written to.
pub(crate) fn manual_pages(directory: &Path) -> Result<Outcome, Failure> {
    let failed =
        |error: io::Error| Failure(format!("{}: {}", directory.display(), Failure::from(error).0));
    let mut program = Args::command().disable_help_subcommand(true);
    program.build();
    let commands = program.get_subcommands().filter(|it| !it.is_hide_set());
    let mut stdout = Stdout::default();
    std::fs::create_dir_all(directory).map_err(failed)?;
    for command in [&program].into_iter().chain(commands) {
        let name = format!("{}.1", command.get_display_name().unwrap_or("bgfetch"));
        let page = manual_page(command).map_err(failed)?;
        std::fs::write(directory.join(&name), page).map_err(failed)?;
        stdout.line(&name);
    }
    Ok(Outcome::Success)
}

fn manual_page(command: &Command) -> io::Result<Vec<u8>> {
    let after_help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let man = Man::new(command.clone().after_help(""));
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page)?;
    }
    page.extend(sections(&after_help).into_bytes());
    Ok(page)
}

/// The examples and the exit codes as sections of a manual page: a line that ends in a colon is a
/// heading.
fn sections(text: &str) -> String {
    let mut roff = String::new();
    for line in text.lines() {
        let line = line.replace('\\', "\\e").replace('-', "\\-");
        match line.strip_suffix(':').filter(|_| !line.starts_with(' ')) {
            Some(heading) => roff.extend([".SH ", &heading.to_uppercase(), "\n.nf\n"]),
            // A full stop or an apostrophe at the beginning would be a request.
            None => roff.extend(["\\&", &line, "\n"]),
        }
    }
    roff
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_after_the_help_becomes_sections() {
        let roff = sections("Examples:\n  x -o a\\b\n.hidden\n\nExit codes:\n  0  it is done");
        let expected = ".SH EXAMPLES\n.nf\n\\&  x \\-o a\\eb\n\\&.hidden\n\\&\n.SH EXIT CODES\n.nf\n\
                        \\&  0  it is done\n";
        assert_eq!(roff, expected);
    }
}
