//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};

use crate::checksum;
use crate::network::NetworkOptions;
use crate::secret::Secret;

/// Durable downloads: after a pause, a crash or a power cut, run the same command again to resume
#[derive(Debug, Parser)]
#[command(
    name = "bgfetch",
    version,
    arg_required_else_help = true,
    term_width = 80,
    after_help = EXIT_CODES
)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Fetch all URLs as one item and write them to a directory
    #[command(after_help = GET)]
    Get(Box<Get>),
    /// Open a page, run its scripts and its service worker, and show their fetches
    #[cfg(feature = "js")]
    #[command(after_help = RUN)]
    Run(Run),
    /// Run web-platform-tests
    #[cfg(feature = "js")]
    #[command(after_help = "Example:\n  bgfetch wpt background-fetch/fetch.https.window.js")]
    Wpt(Wpt),
    /// Show the fetches of a store until they end
    #[command(after_help = "Example:\n  bgfetch watch")]
    Watch {
        #[command(flatten)]
        store: Store,
        /// Print one JSON event per line
        #[arg(long)]
        json: bool,
    },
    /// List the fetches of a store
    #[command(after_help = "Example:\n  bgfetch list --store state")]
    List {
        #[command(flatten)]
        store: Store,
        /// Print one JSON object per line
        #[arg(long)]
        json: bool,
    },
    /// Show a fetch and each of its files
    #[command(after_help = "Example:\n  bgfetch show film.mp4-6a7d0efb")]
    Show {
        #[command(flatten)]
        target: Target,
        /// Print a JSON object
        #[arg(long)]
        json: bool,
    },
    /// Pause a fetch until it is resumed, also across restarts
    #[command(after_help = "Example:\n  bgfetch pause film.mp4-6a7d0efb")]
    Pause(Target),
    /// Resume a paused fetch
    #[command(after_help = "Example:\n  bgfetch resume film.mp4-6a7d0efb")]
    Resume(Target),
    /// Abort a fetch and delete what it has downloaded
    #[command(after_help = "Example:\n  bgfetch abort film.mp4-6a7d0efb")]
    Abort(Target),
    /// Activate a fetch, as a click on its notification does
    #[command(after_help = "Example:\n  bgfetch click my-fetch")]
    Click(Target),
    /// Remove a finished fetch from the list
    #[command(after_help = "Example:\n  bgfetch dismiss film.mp4-6a7d0efb")]
    Dismiss(Target),
    /// Print what makes a shell complete the arguments of bgfetch
    #[command(hide = true, after_help = "Example:\n  bgfetch completions bash > bgfetch.bash")]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Write the manual pages to a directory
    #[command(hide = true, after_help = "Example:\n  bgfetch man ~/.local/share/man/man1")]
    Man {
        /// Where to write them
        directory: PathBuf,
    },
}

const EXIT_CODES: &str = "\
Exit codes:
  0    it is done
  1    something failed; for get, a file was not saved
  2    the arguments are wrong
  130  Ctrl-C; run the same command again to resume";

const GET: &str = "\
Examples:
  bgfetch get https://example.org/a.bin https://example.org/b.bin --out files
  bgfetch get https://example.org/film.mp4 -o film.mp4 --limit-rate 2M
  bgfetch get -i urls.txt --out files
  bgfetch get https://example.org/film.mp4 --detach

After Ctrl-C, a crash or a power cut, run the same command again to resume.";

#[cfg(feature = "js")]
const RUN: &str = "\
Examples:
  bgfetch run https://example.org/app/
  bgfetch run examples/podcast --slow 50000";

#[derive(Debug, clap::Args)]
pub(crate) struct Get {
    /// What to fetch (http or https); #sha256=HEX after a URL is the file's checksum
    #[arg(required_unless_present = "input_files", value_name = "URL")]
    pub(crate) urls: Vec<String>,
    /// Read URLs from a file, one per line; - is standard input
    #[arg(short = 'i', long = "input-file", value_name = "FILE")]
    pub(crate) input_files: Vec<PathBuf>,
    /// Name of the fetch for the other commands [default: made from the URLs and the directory]
    #[arg(long)]
    pub(crate) id: Option<String>,
    /// Title to show
    #[arg(long, default_value = "", hide_default_value = true)]
    pub(crate) title: String,
    /// Limit for all files together; the fetch fails beyond it (0 = no limit)
    #[arg(
        long,
        value_name = "BYTES",
        default_value_t = 0,
        value_parser = bytes,
        allow_negative_numbers = true
    )]
    pub(crate) download_total: u64,
    /// Return once the fetch is stored, and go on in the background
    #[arg(long)]
    pub(crate) detach: bool,
    /// This is the process in the background
    #[arg(long, hide = true, conflicts_with = "detach")]
    pub(crate) detached: bool,
    #[command(flatten)]
    pub(crate) store: Store,

    /// Where to save the files once all have arrived
    #[arg(long, value_name = "DIR", default_value = ".", help_heading = FILES)]
    pub(crate) out: PathBuf,
    /// Save the only file under this name
    #[arg(short = 'o', long, value_name = "FILE", help_heading = FILES)]
    pub(crate) output: Option<PathBuf>,
    /// Replace existing files, instead of numbering the new ones
    #[arg(long, help_heading = FILES)]
    pub(crate) overwrite: bool,
    /// Use the names that the server suggests
    #[arg(long, conflicts_with = "output", help_heading = FILES)]
    pub(crate) content_disposition: bool,
    /// Fail if the only file does not have this checksum (sha256, sha384 or sha512)
    #[arg(long, value_name = "sha256:HEX", value_parser = checksum::integrity, help_heading = FILES)]
    pub(crate) checksum: Option<String>,

    /// Add a header to all requests; may be given several times
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", help_heading = REQUESTS)]
    pub(crate) headers: Vec<Secret>,
    /// Say who is asking
    #[arg(short = 'A', long, value_name = "NAME", help_heading = REQUESTS)]
    pub(crate) user_agent: Option<String>,
    /// Send cookies: NAME=VALUE; NAME=VALUE
    #[arg(short = 'b', long, value_name = "COOKIES", help_heading = REQUESTS)]
    pub(crate) cookie: Option<Secret>,
    /// Take user names and passwords from ~/.netrc
    #[arg(short = 'n', long, help_heading = REQUESTS)]
    pub(crate) netrc: bool,

    #[command(flatten)]
    pub(crate) network: NetworkOptions,

    /// Print one JSON event per line instead of progress bars
    #[arg(long, help_heading = OUTPUT)]
    pub(crate) json: bool,
    /// Print nothing but errors
    #[arg(short = 'q', long, conflicts_with_all = ["json", "verbose"], help_heading = OUTPUT)]
    pub(crate) quiet: bool,
    /// Say why it waits, retries and resumes, a line each
    #[arg(short = 'v', long, conflicts_with = "json", help_heading = OUTPUT)]
    pub(crate) verbose: bool,
}

fn bytes(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| "that is not a number of bytes".into())
}

/// Headings of the help.
const FILES: &str = "Files";
const REQUESTS: &str = "Requests";
const OUTPUT: &str = "Output";

impl Args {
    /// The texts of the command line that nobody else may see.
    pub(crate) fn secrets(&self) -> Vec<&str> {
        let Command::Get(get) = &self.command else {
            return Vec::new();
        };
        let value = |Secret(header): &'_ Secret| {
            header.split_once(':').map_or(0..header.len(), |(name, _)| name.len() + 1..header.len())
        };
        let headers = get.headers.iter().filter_map(|header| header.0.get(value(header)));
        let cookies = get.cookie.iter().map(|Secret(cookies)| cookies.as_str());
        let users = get.network.proxy.iter().filter_map(|Secret(proxy)| {
            let (before, _) = proxy.rsplit_once('@')?;
            Some(before.split_once("://").map_or(before, |(_, user)| user))
        });
        let all = headers.chain(cookies).chain(users).map(str::trim);
        all.filter(|secret| !secret.is_empty()).collect()
    }
}

#[cfg(feature = "js")]
#[derive(Debug, clap::Args)]
pub(crate) struct Run {
    /// URL of a page (http or https), or a folder with an index.html, which is served on loopback
    #[arg(required_unless_present = "no_page")]
    pub(crate) app: Option<String>,
    #[command(flatten)]
    pub(crate) store: Store,
    /// Print one JSON event per line instead of a screen
    #[arg(long)]
    pub(crate) json: bool,
    /// Open no page: finish the fetches of earlier runs and notify their service workers
    #[arg(long)]
    pub(crate) no_page: bool,
    /// Click the first element that this CSS selector matches, when it listens for clicks; may be
    /// given several times
    #[arg(long, value_name = "SELECTOR", conflicts_with = "no_page")]
    pub(crate) click: Vec<String>,
    /// Bytes per second for each file of a folder, to simulate a slow network
    #[arg(long, value_name = "BYTES")]
    pub(crate) slow: Option<u64>,
}

#[cfg(feature = "js")]
#[derive(Debug, clap::Args)]
pub(crate) struct Wpt {
    /// Folders and files of tests, relative to the root
    #[arg(required = true, value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// The folder of the tests: a checkout of web-platform-tests, or one like it
    #[arg(long, value_name = "DIR", default_value = "spec-tests/js")]
    pub(crate) wpt_root: PathBuf,
    /// Run the tests in the browser that this WebDriver server starts, instead of the headless user
    /// agent
    #[arg(long, value_name = "URL", conflicts_with = "prelude")]
    pub(crate) webdriver: Option<url::Url>,
    /// A script that runs in each window before the test
    #[arg(long, value_name = "FILE.js")]
    pub(crate) prelude: Option<PathBuf>,
    /// The tests that are known to fail, with causes and reasons
    #[arg(long, value_name = "FILE")]
    pub(crate) expectations: Option<PathBuf>,
    /// Write a report in the format of wptreport to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Let a file whose URL names a pipe answer every method, which some tests' preflights need
    #[arg(long)]
    pub(crate) pipe_any_method: bool,
    /// Multiply the timeouts of pages by this, on a slow machine
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) timeout_multiplier: u32,
}

/// Which fetch a command is about.
#[derive(Debug, clap::Args)]
pub(crate) struct Target {
    /// The fetch; may be omitted if there is only one
    pub(crate) id: Option<String>,
    #[command(flatten)]
    pub(crate) store: Store,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Store {
    /// Where fetches are kept [default: bgfetch in the user's data directory]
    #[arg(long = "store", value_name = "DIR")]
    pub(crate) directory: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_definition_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn the_help_of_each_command_fits_a_terminal_and_has_an_example() {
        let mut program = Args::command();
        program.build();
        let root = program.render_long_help().to_string();
        assert!(root.contains("Exit codes:\n  0 "), "{root}");
        let mut helps = vec![(String::from("bgfetch"), root)];
        for command in program.get_subcommands_mut().filter(|it| it.get_name() != "help") {
            let name = command.get_name().to_owned();
            for help in [command.render_help(), command.render_long_help()] {
                let help = help.to_string();
                assert!(help.contains(&format!("  bgfetch {name}")), "{help}");
                helps.push((name.clone(), help));
            }
        }
        for (name, help) in helps {
            for line in help.lines() {
                assert!(line.chars().count() <= 80, "{name}: {line}");
            }
        }
    }
}
