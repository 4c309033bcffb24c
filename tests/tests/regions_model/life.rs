//! What a task does.

use super::*;

impl<const BANKS: usize, const PER_BANK: usize> World<BANKS, PER_BANK> {
    /// A task's life, watched: each poll, and its end.
    pub(super) fn around(self: Arc<Self>, cx: Cx, life: Life) -> Playing {
        /// Notes a poll that unwinds.
        struct Unwinds<'a>(&'a Life);

        impl Drop for Unwinds<'_> {
            fn drop(&mut self) {
                pages(&self.0.book).tasks.get_mut(&self.0.number).unwrap().panicked = true;
            }
        }

        let executor = self.executor;
        let mut inner = Box::pin(self.play(cx));
        Box::pin(std::future::poll_fn(move |context| {
            let number = life.number;
            {
                let mut book = pages(&life.book);
                let asked = executor.task(cx.id()).expect("it is being polled").cancelled.is_some();
                let (now, alone) = (book.now, book.alone);
                let task = book.tasks.get_mut(&number).unwrap();
                if asked {
                    task.asked_at.get_or_insert(now);
                    task.polls_asked += 1;
                    // Another thread may ask between the count and this look.
                    let most = task.limits.0 + u16::from(!alone);
                    assert!(task.polls_asked <= most, "polled too often after it was asked to stop");
                }
                task.waker = Some(context.waker().clone());
            }
            let unwinds = Unwinds(&life);
            let polled = inner.as_mut().poll(context);
            std::mem::forget(unwinds);
            polled.map(|luggage| {
                let mut book = pages(&life.book);
                let task = book.tasks.get_mut(&number).unwrap();
                (task.returned, task.output) = (true, true);
                Output { life: Life { book: life.book.clone(), number, is_output: true }, _luggage: luggage }
            })
        }))
    }

    /// What a task does, one thing after the other, until it has enough.
    async fn play(self: Arc<Self>, cx: Cx) -> Option<Box<Luggage>> {
        self.live(cx).await;
        // What it takes along must not keep it, or nobody could ever let go of it: a region that ends with
        // its own, or is about to end; a handle whose task ends with its region.
        let region = cx.region().map(|id| pages(&self.book).region_by_id(id));
        let what = self.draw(6);
        let held = (what < 2).then(|| self.some_region()).flatten().and_then(|held| {
            let book = pages(&self.book);
            let fits = match region {
                Some(region) if region == held.number => book.closes(region),
                Some(region) => book.is_within(Some(held.number), region),
                None => true,
            };
            drop(book);
            if fits {
                Some(held)
            } else {
                self.held.lock().unwrap().push(held);
                None
            }
        });
        let handle = (what == 0 || what == 3).then(|| self.some_handle()).flatten().and_then(|handle| {
            let fits = pages(&self.book).tasks[&handle.number].region.is_some();
            if fits {
                Some(handle)
            } else {
                self.handles.lock().unwrap().push(handle);
                None
            }
        });
        (held.is_some() || handle.is_some()).then(|| Box::new((held, handle)))
    }

    async fn live(self: &Arc<Self>, cx: Cx) {
        loop {
            let (what, span, ending) = {
                let mut book = pages(&self.book);
                book.operations += 1;
                (book.draw(24), Duration::from_micros(book.draw(40) as u64), book.ending)
            };
            let mut asked = None;
            match what {
                0 | 1 => return,
                2 => cx.yield_now().await,
                3 => parked().await,
                4 | 5 => asked = cx.sleep(span).await.err(),
                6 => cx.shield(cx.sleep(span)).await.expect("shielded"),
                7 => {
                    let twice =
                        cx.shield(async { cx.shield(cx.sleep(span)).await.and(cx.sleep(span).await) });
                    twice.await.expect("shielded");
                }
                8 => asked = cx.run_until_cancelled(std::future::pending::<()>()).await.err(),
                9 => std::future::pending().await,
                10 => panic_any(OnPurpose),
                11..=13 => {
                    let region = cx.region().map(|id| pages(&self.book).region_by_id(id));
                    self.spawn_by(region, |options, build| {
                        cx.spawn_with(options, self.pool, build).map_err(|error: SpawnError<_>| error.kind)
                    });
                }
                14 => self.open(Some(cx)),
                15 | 16 => {
                    if let Some(held) = self.some_region() {
                        let inside = {
                            let book = pages(&self.book);
                            let own = cx.region().map(|id| book.region_by_id(id));
                            book.is_within(own, held.number)
                        };
                        let close = self.draw(2) == 0;
                        if let Some((held, error)) = held.wait(close, inside).await {
                            self.put_back(held);
                            if let CloseError::Cancelled(reason) = error {
                                asked = Some(Cancelled(reason));
                            }
                        }
                    }
                }
                17 | 18 => {
                    if let Some(mut handle) = self.some_handle() {
                        handle.note(|task| task.awaited = true);
                        let within = self.draw(2) == 0;
                        let inner = handle.handle.as_mut().expect("taken only at the end");
                        let inner_id = inner.id();
                        let outcome =
                            if within { inner.join_within(cx, span).await } else { inner.join().await };
                        match outcome {
                            Err(JoinError::Interrupted(reason)) => {
                                handle.note(|task| task.awaited = false);
                                asked = Some(Cancelled(reason));
                                self.handles.lock().unwrap().push(handle);
                            }
                            Err(JoinError::Inside) => {
                                assert_eq!(inner_id, cx.id(), "only for oneself there is no waiting");
                                handle.note(|task| task.awaited = false);
                                self.handles.lock().unwrap().push(handle);
                            }
                            outcome => pages(&self.book).outcome(handle.number, &outcome),
                        }
                    }
                }
                19 => match cx.timeout(span, std::future::pending::<()>()).await {
                    Err(TimeoutError::Cancelled(reason)) => asked = Some(Cancelled(reason)),
                    other => assert_eq!(other, Err(TimeoutError::Elapsed)),
                },
                _ => self.act(),
            }
            if let Some(Cancelled(reason)) = asked {
                let known = cx.cancelled_for().expect("heard of a request that nobody made");
                assert!(reason <= known);
                // Most tasks do as they are asked.
                if self.draw(4) > 0 {
                    return;
                }
            }
            if ending && cx.is_cancelled() {
                return;
            }
        }
    }
}
