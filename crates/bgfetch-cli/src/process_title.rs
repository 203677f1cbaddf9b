//! Keeps secrets of the command line out of the process title, which all users of a machine can read.
//!
//! A program cannot change its arguments without unsafe code. So it executes itself again, in the
//! same process, with `***` in place of each secret. The arguments that contain them are passed in
//! the environment, which only this user and the superuser can read.

use std::ffi::OsString;

/// The variable with the process's number and the hidden arguments. Other processes ignore it, for
/// example children, which inherit it.
#[cfg(unix)]
pub(crate) const VARIABLE: &str = "BGFETCH_HIDDEN_ARGUMENTS";

/// The arguments of this process, hidden ones included.
#[cfg(not(unix))]
pub(crate) fn arguments() -> Vec<OsString> {
    std::env::args_os().collect()
}

/// Other systems do not show the arguments of a process to other users.
#[cfg(not(unix))]
pub(crate) fn hide(_: &[OsString], _: &[&str]) {}

#[cfg(unix)]
pub(crate) use unix::{arguments, hide};

#[cfg(unix)]
mod unix {
    use std::ffi::OsStr;
    use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
    use std::os::unix::process::CommandExt as _;
    use std::process::Command;

    use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, percent_encode};

    use super::{OsString, VARIABLE};
    use crate::exit::complain;
    use crate::text::without_code;

    /// The arguments of this process, hidden ones included.
    pub(crate) fn arguments() -> Vec<OsString> {
        let mut arguments: Vec<_> = std::env::args_os().collect();
        if let Ok(hidden) = std::env::var(VARIABLE) {
            restore(&mut arguments, &hidden, std::process::id());
        }
        arguments
    }

    /// Executes the program again without the secrets in its arguments, if there are any. Returns
    /// if there are none, or if it has been done.
    pub(crate) fn hide(arguments: &[OsString], secrets: &[&str]) {
        let shown: Vec<_> = arguments.iter().map(|argument| masked(argument, secrets)).collect();
        if shown.iter().eq(std::env::args_os().collect::<Vec<_>>().iter()) {
            return;
        }
        let hidden = hidden(arguments, &shown, std::process::id());
        let executed = std::env::current_exe().map(|program| {
            let mut command = Command::new(program);
            if let Some((name, rest)) = shown.split_first() {
                command.arg0(name).args(rest);
            }
            command.env(VARIABLE, hidden).exec()
        });
        let (Ok(error) | Err(error)) = executed;
        let why = without_code(&error.to_string());
        complain(&format!("other users can see the secrets in the arguments: {why}"));
    }

    /// The argument with `***` in place of each secret.
    fn masked(argument: &OsStr, secrets: &[&str]) -> OsString {
        // Secrets are text, so an argument that contains one is text as well.
        let Some(text) = argument.to_str() else {
            return argument.to_owned();
        };
        secrets.iter().fold(text.to_owned(), |text, secret| text.replace(secret, "***")).into()
    }

    /// The arguments that are not shown, with their positions.
    fn hidden(arguments: &[OsString], shown: &[OsString], process: u32) -> String {
        let pairs = arguments.iter().zip(shown).enumerate();
        let hidden = pairs.filter(|(_, (argument, shown))| argument != shown);
        hidden.fold(process.to_string(), |text, (position, (argument, _))| {
            let argument = percent_encode(argument.as_bytes(), NON_ALPHANUMERIC);
            format!("{text} {position}={argument}")
        })
    }

    /// Puts hidden arguments back, if they are those of this process.
    fn restore(arguments: &mut [OsString], hidden: &str, process: u32) {
        let mut parts = hidden.split(' ');
        if parts.next() != Some(&process.to_string()) {
            return;
        }
        for part in parts {
            if let Some((position, argument)) = part.split_once('=')
                && let Ok(position) = position.parse::<usize>()
                && let Some(place) = arguments.get_mut(position)
            {
                *place = OsString::from_vec(percent_decode_str(argument).collect());
            }
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn hidden_arguments_return_in_the_same_process_alone() {
            let arguments: Vec<OsString> =
                ["bgfetch", "get", "-HX-Key: ü pw=1", "--cookie=s=pw", "http://a.test/pw"]
                    .map(OsString::from)
                    .into();
            let secrets = ["ü pw=1", "s=pw"];
            let shown: Vec<_> = arguments.iter().map(|it| masked(it, &secrets)).collect();
            let expected = ["bgfetch", "get", "-HX-Key: ***", "--cookie=***", "http://a.test/pw"];
            assert_eq!(shown, expected);
            let hidden = hidden(&arguments, &shown, 7);
            for (process, expected) in [(7, &arguments), (8, &shown)] {
                let mut restored = shown.clone();
                restore(&mut restored, &hidden, process);
                assert_eq!(restored, *expected);
            }
            let bad = [String::new(), String::from("7 x=1 99=a 1"), String::from("7")];
            for hidden in bad {
                let mut restored = shown.clone();
                restore(&mut restored, &hidden, 7);
                assert_eq!(restored, shown);
            }
        }
    }
}
