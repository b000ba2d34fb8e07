//! Entry point: understands the command line and does what it says.

use std::path::PathBuf;
use std::process::ExitCode;

use exaproxy::cli::{self, Command};
use exaproxy::config::{self, Disk, PrintForm, Sources};
use exaproxy::supervisor;

fn main() -> ExitCode {
    reactor::sys::return_freed_memory();
    match act() {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            eprintln!("{text}");
            ExitCode::FAILURE
        }
    }
}

fn act() -> Result<(), String> {
    let line = cli::parse(std::env::args_os().skip(1)).map_err(|error| error.to_string())?;
    for warning in &line.warnings {
        eprintln!("{warning}");
    }
    match line.command {
        Command::Help => print!("{}", config::help()),
        Command::Version => println!("exaproxy {}", env!("CARGO_PKG_VERSION")),
        Command::Print { file, form } => print(file, form)?,
        Command::Check { file } => {
            supervisor::check(&Sources::of_process(file)).map_err(|lines| lines.join("\n"))?;
            println!("configuration ok");
        }
        Command::CheckName { file, name } => {
            println!("{}", supervisor::check_name(&Sources::of_process(file), &name)?);
        }
        Command::Run { file, debug } => supervisor::run(&Sources::of_process(file), debug)?,
    }
    Ok(())
}

fn print(file: Option<PathBuf>, form: PrintForm) -> Result<(), String> {
    let loaded = config::load(&Sources::of_process(file), &Disk).map_err(|error| error.to_string())?;
    for warning in &loaded.warnings {
        eprintln!("{warning}");
    }
    print!("{}", loaded.print(form));
    Ok(())
}
