//! The standard input of a program, which is this one, started again.

#[cfg(unix)]
fn main() {
    if std::env::var_os("TRILANE_READS_STDIN").is_some() {
        return child();
    }
    // A pipe that says something late; one that says nothing; a file.
    for (input, expected) in [("(echo one; sleep 0.1; echo three)", "10"), ("true", "0")] {
        assert_eq!(run(&format!("{input} | ")), expected, "{input}");
    }
    let itself = std::env::current_exe().unwrap();
    let bytes = std::fs::metadata(&itself).unwrap().len();
    assert_eq!(run(&format!("< {} ", itself.display())), bytes.to_string());
    println!("test result: ok. 3 inputs were read");
}

/// What the program prints that gets its input from what stands `before` it.
#[cfg(unix)]
fn run(before: &str) -> String {
    let program = std::env::current_exe().unwrap();
    let line = format!("{before} {}", program.display());
    let mut shell = std::process::Command::new("sh");
    let output = shell.args(["-c", &line]).env("TRILANE_READS_STDIN", "1").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Prints how many bytes there are.
#[cfg(unix)]
fn child() {
    use trilane_std::net::Stdin;
    use trilane_std::runtime::Runtime;

    let runtime = Runtime::builder().workers(1).build().unwrap();
    let all = runtime.block_on(async {
        let input = Stdin::new().unwrap();
        let (mut bytes, mut all) = ([0; 8_192], 0);
        loop {
            match input.read(&mut bytes).await.unwrap() {
                0 => break all,
                read => all += read,
            }
        }
    });
    println!("{all}");
}

#[cfg(not(unix))]
fn main() {}
