//! Entry point: understands the command line and does what it says.

use std::path::PathBuf;
use std::process::ExitCode;

use exaproxy::cli::{self, Command};
use exaproxy::config::{self, Disk, PrintForm, Sources};
use exaproxy::supervisor;
use exaproxy::system::hostname;

fn main() -> ExitCode {
    reactor::sys::return_freed_memory();
    reactor::sys::look_up_without_libraries();
    match act() {
        Ok(()) => ExitCode::SUCCESS,
        Err(text) => {
            eprintln!("{text}");
            ExitCode::FAILURE
        }
    }
}

fn act() -> Result<(), String> {
    let line = cli::parse(std::env::args_os().skip(1), hostname::own_addresses).map_err(|error| error.to_string())?;
    for warning in &line.warnings {
        eprintln!("{warning}");
    }
    let settings = &line.settings;
    let sources = |file: Option<PathBuf>| Sources::of_process(file, &settings.options, settings.log_folder.as_deref());
    match line.command {
        Command::Help => print!("{}", cli::help()),
        Command::HelpOptions => print!("{}", cli::help_options()),
        Command::Version => println!("exaproxy {}", env!("EXAPROXY_VERSION")),
        Command::Print { file, form } => print(&sources(file), form)?,
        Command::Check { file } => {
            supervisor::check(&sources(file)).map_err(|lines| lines.join("\n"))?;
            println!("configuration ok");
        }
        Command::CheckName { file, name } => {
            println!("{}", supervisor::check_name(&sources(file), &name)?);
        }
        Command::Upgrade { pidfile } => {
            let pid = supervisor::upgrade::ask(&pidfile)?;
            println!("process {pid} tries its next version and executes it; its log says what comes of that");
        }
        Command::HashPassword { name } => println!("{}", supervisor::hash_password(name.as_deref())?),
        Command::Run { file, debug } => supervisor::run(&sources(file), debug)?,
    }
    Ok(())
}

fn print(sources: &Sources, form: PrintForm) -> Result<(), String> {
    let loaded = config::load(sources, &Disk).map_err(|error| error.to_string())?;
    for warning in &loaded.warnings {
        eprintln!("{warning}");
    }
    print!("{}", loaded.print(form));
    Ok(())
}
