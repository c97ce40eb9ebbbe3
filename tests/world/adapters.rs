//! A contract run by every adapter of its port: each case is a test for each of them.

/// `adapters!(name: Harness, … => { case, … })`: a case is a function that takes the harness.
macro_rules! adapters {
    ($($adapter:ident: $harness:ty),* => $cases:tt) => {
        $(adapters!(@one $adapter $harness, $cases);)*
    };
    (@one $adapter:ident $harness:ty, { $($case:ident),* $(,)? }) => {
        mod $adapter {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                super::$case(&mut <$harness>::new()).await;
            })*
        }
    };
}
