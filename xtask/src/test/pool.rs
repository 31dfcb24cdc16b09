//! One pool for everything that runs: test programs, containers, virtual machines, the checks of the sources.
//!
//! Most tests wait: for handshakes, for what a monitor notices, for what must not arrive. So more of them run at a time
//! than there are processors, and each task says how much of the pool it takes.

use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use super::Tally;
use super::count::Count;
use crate::problem::{Problem, Result};

/// What the whole pool is worth, for each processor.
const SLOTS_A_PROCESSOR: u32 = 6;

/// Something to run.
pub(super) struct Task {
    /// The part of the run that it belongs to: stands before the names of its tests.
    pub(super) part: String,
    /// What the pool says of it when it does not end well: the test, or the same as the part.
    pub(super) name: String,
    /// How much of the pool it takes; 0 for what runs at idle priority.
    pub(super) slots: u32,
    /// Seconds that it takes, roughly: what takes long begins first.
    pub(super) expected: f64,
    /// Hands over its lines as they come and returns its exit status.
    #[expect(clippy::type_complexity, reason = "a task is a closure that streams lines, once")]
    pub(super) run: Box<dyn FnOnce(&mut dyn FnMut(&str)) -> Result<i32> + Send>,
    /// It ends with the result of a harness, in which there is at least one test.
    pub(super) harness: bool,
}

/// A task that has ended.
struct Ended {
    task: String,
    part: String,
    slots: u32,
    harness: bool,
    began: Instant,
    count: Count,
    result: Result<i32>,
}

/// What a run measured of a task, for the order of the next one.
pub(super) type Times = Vec<(String, Duration)>;

/// Runs all tasks and adds up what they say. The times in the tally count from `start`.
pub(super) fn run(mut tasks: Vec<Task>, start: Instant, tally: &mut Tally) -> Times {
    tasks.sort_by(|a, b| b.expected.total_cmp(&a.expected));
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let slots = SLOTS_A_PROCESSOR * u32::try_from(processors).unwrap_or(1);
    let (mut free, mut running, mut times) = (slots, 0, Times::new());
    let (sender, ended) = mpsc::channel();
    thread::scope(|scope| {
        loop {
            // The longest that still fits; what fits nowhere runs when everything else has ended.
            let fits = |task: &Task| task.slots <= free || (running == 0 && task.slots > slots);
            if let Some(at) = tasks.iter().position(fits) {
                let task = tasks.remove(at);
                free = free.saturating_sub(task.slots);
                running += 1;
                let sender = sender.clone();
                // The other end is there for as long as this scope.
                scope.spawn(move || drop(sender.send(run_one(task))));
                continue;
            }
            if running == 0 {
                break;
            }
            let Ok(done) = ended.recv() else { break };
            free = (free + done.slots).min(slots);
            running -= 1;
            times.push((format!("{}: {}", done.part, done.task), done.began.elapsed()));
            close(done, start, tally);
        }
    });
    times
}

fn run_one(task: Task) -> Ended {
    let began = Instant::now();
    let mut count = Count::default();
    let result = (task.run)(&mut |line| count.line(line));
    let Task { part, name, slots, harness, .. } = task;
    Ended { task: name, part, slots, harness, began, count, result }
}

/// Shows what a task said, and adds it up.
fn close(mut done: Ended, start: Instant, tally: &mut Tally) {
    let took = done.began.elapsed();
    tally.spent(&done.part, done.began.duration_since(start), start.elapsed());
    let count = &mut done.count;
    match done.result {
        Err(problem) => count.fail(&done.task, &problem.to_string()),
        Ok(status) if status != 0 && count.failed.is_empty() => {
            count.fail(&done.task, &format!("status {status}"));
        }
        Ok(_) if done.harness && !count.has_result() => {
            count.fail(&done.task, "it ended without the result of a harness");
        }
        Ok(_) => {}
    }
    // Of the many tests that run by themselves, only those are shown that have something to say.
    let single = done.task != done.part;
    if !single || !count.shown.is_empty() {
        let name = if single { format!("{}: {}", done.part, done.task) } else { done.part.clone() };
        let (passed, failed, skipped) = (count.passed, count.failed.len(), count.skipped.len());
        let seconds = took.as_secs_f64();
        println!("== {name} ({passed} passed, {failed} failed, {skipped} skipped, {seconds:.1} s)");
        count.shown.iter().for_each(|line| println!("{line}"));
    }
    tally.add(&done.part, count);
}

/// For a task that cannot even begin.
pub(super) fn broken(part: &str, problem: Problem) -> Task {
    let run = Box::new(move |_: &mut dyn FnMut(&str)| Err(problem));
    Task { part: part.to_owned(), name: part.to_owned(), slots: 0, expected: 0.0, run, harness: false }
}
