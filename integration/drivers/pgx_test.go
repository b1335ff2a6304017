//go:build linux

package drivers

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/rondo-go/rondo"
	"github.com/rondo-go/rondo/connpool"
	"github.com/rondo-go/rondo/integration/drivers/server"
)

// pgxPool is the recipe of docs/databases.md.
func pgxPool(t testing.TB, url string, size int, change ...func(*pgx.ConnConfig)) *connpool.Pool[*pgx.Conn] {
	t.Helper()
	config, err := pgx.ParseConfig(url)
	if err != nil {
		t.Fatal(err)
	}
	config.DialFunc = connpool.DialContext
	for _, f := range change {
		f(config)
	}
	return connpool.New(connpool.Options[*pgx.Conn]{
		Open:   func(ctx context.Context) (*pgx.Conn, error) { return pgx.ConnectConfig(ctx, config) },
		Close:  func(ctx context.Context, c *pgx.Conn) error { return c.Close(ctx) },
		Usable: func(c *pgx.Conn) bool { return !c.IsClosed() && c.PgConn().TxStatus() == 'I' },
		Size:   size,
	})
}

func TestPgxQueriesInline(t *testing.T) {
	s := postgres(t)
	onLoop(t, func(ctx context.Context) error {
		pool := pgxPool(t, s.PostgresURL(), 20)
		err := eachOf(ctx, 200, func(ctx context.Context, i int) error {
			return pool.With(ctx, func(ctx context.Context, c *pgx.Conn) error {
				for k := range 5 {
					var a, b int
					if err := c.QueryRow(ctx, "select $1::int, $2::int", i, k).Scan(&a, &b); err != nil {
						return err
					}
					if a != i || b != k {
						return fmt.Errorf("asked %d, %d: got %d, %d", i, k, a, b)
					}
				}
				rows, err := c.Query(ctx, "select n from generate_series(1, $1::int) n", 100+i)
				if err != nil {
					return err
				}
				all, err := pgx.CollectRows(rows, pgx.RowTo[int])
				if err == nil && (len(all) != 100+i || all[99+i] != 100+i) {
					err = fmt.Errorf("%d rows", len(all))
				}
				return err
			})
		})
		if open, idle := pool.Len(); open != idle || open > 20 {
			t.Errorf("%d open, %d idle", open, idle)
		}
		return errors.Join(err, pool.Close(ctx))
	})
}

// Tasks wait for locks that other tasks of the loop hold: a thread that is blocked would wait for ever.
func TestPgxTransactionsInline(t *testing.T) {
	s := postgres(t)
	const accounts, transfers = 10, 200
	onLoop(t, func(ctx context.Context) error {
		pool := pgxPool(t, s.PostgresURL(), 30)
		if err := s.Exec(fmt.Sprintf(`drop table if exists account; create table account(id int primary key, amount int);
			insert into account select n, 1000 from generate_series(0, %d) n`, accounts-1)); err != nil {
			return err
		}
		err := eachOf(ctx, transfers, func(ctx context.Context, i int) error {
			from, to := i%accounts, (i*7+3)%accounts
			return pool.With(ctx, func(ctx context.Context, c *pgx.Conn) error {
				return pgx.BeginFunc(ctx, c, func(tx pgx.Tx) error {
					var first int // in one order, so that the server sees no deadlock
					if err := tx.QueryRow(ctx, "select count(*) from (select 1 from account where id in ($1, $2) order by id for update) x", from, to).Scan(&first); err != nil {
						return err
					}
					if err := rondo.Sleep(ctx, 0); err != nil {
						return err
					}
					if _, err := tx.Exec(ctx, "update account set amount = amount - 1 where id = $1", from); err != nil {
						return err
					}
					_, err := tx.Exec(ctx, "update account set amount = amount + 1 where id = $1", to)
					return err
				})
			})
		})
		if err != nil {
			return err
		}
		return pool.With(ctx, func(ctx context.Context, c *pgx.Conn) error {
			var sum int
			err := c.QueryRow(ctx, "select sum(amount) from account").Scan(&sum)
			if sum != accounts*1000 {
				t.Errorf("the sum is %d", sum)
			}
			return errors.Join(err, pool.Close(ctx))
		})
	})
}

func TestPgxPipelinesInlineAndCopiesOffTheLoop(t *testing.T) {
	s := postgres(t)
	threads := rondo.NewThreadPool(10)
	if err := s.Exec("drop table if exists copied; create table copied(who int, n int, word text)"); err != nil {
		t.Fatal(err)
	}
	onLoop(t, func(ctx context.Context) error {
		pool := pgxPool(t, s.PostgresURL(), 10)
		err := eachOf(ctx, 40, func(ctx context.Context, i int) error {
			return pool.With(ctx, func(ctx context.Context, c *pgx.Conn) error {
				b := new(pgx.Batch)
				for k := range 50 {
					b.Queue("select $1::int", i*1000+k)
				}
				r := c.SendBatch(ctx, b)
				for k := range 50 {
					var n int
					if err := r.QueryRow().Scan(&n); err != nil || n != i*1000+k {
						return fmt.Errorf("reply %d of the pipeline: %d, %v", k, n, err)
					}
				}
				if err := r.Close(); err != nil {
					return err
				}
				const rows = 2000
				n, err := rondo.InExecutorShielded(ctx, threads, func() (int64, error) { // it has goroutines write and read
					return c.CopyFrom(ctx, pgx.Identifier{"copied"}, []string{"who", "n", "word"},
						pgx.CopyFromSlice(rows, func(k int) ([]any, error) { return []any{i, k, strings.Repeat("w", k%50)}, nil }))
				})
				if err != nil || n != rows {
					return fmt.Errorf("copied %d: %w", n, err)
				}
				var out bytes.Buffer
				if _, err := c.PgConn().CopyTo(ctx, &out, fmt.Sprintf("copy (select n, word from copied where who = %d order by n) to stdout", i)); err != nil {
					return err
				}
				lines := strings.Split(out.String(), "\n")
				if len(lines) != rows+1 || lines[1999] != "1999\t"+strings.Repeat("w", 1999%50) {
					return fmt.Errorf("copied out: %d lines", len(lines))
				}
				return nil
			})
		})
		return errors.Join(err, pool.Close(ctx))
	})
}

// A query of 8 MB whose answer is as long: both sides write before the other has read all, and pgx reads meanwhile
// on a goroutine of its own.
func TestPgxBigQueryWithBigAnswerInline(t *testing.T) {
	s := postgres(t)
	onLoop(t, func(ctx context.Context) error {
		pool := pgxPool(t, s.PostgresURL(), 8)
		err := eachOf(ctx, 8, func(ctx context.Context, i int) error {
			return pool.With(ctx, func(ctx context.Context, c *pgx.Conn) error {
				b := new(pgx.Batch)
				long := strings.Repeat(string(rune('a'+i)), 1<<20)
				for range 8 {
					b.Queue("select $1::text", long)
				}
				r := c.SendBatch(ctx, b)
				for range 8 {
					var back string
					if err := r.QueryRow().Scan(&back); err != nil || back != long {
						return fmt.Errorf("%d bytes came back: %v", len(back), err)
					}
				}
				return r.Close()
			})
		})
		return errors.Join(err, pool.Close(ctx))
	})
}

// A write that takes its time has pgx read on a goroutine. The loop must not wait for that: it is another of its tasks
// that the server waits for.
func TestPgxSlowWriteDoesNotStopTheLoop(t *testing.T) {
	s := postgres(t)
	if err := s.Exec("drop table if exists held; create table held(n int); insert into held values (1)"); err != nil {
		t.Fatal(err)
	}
	onLoop(t, func(ctx context.Context) error {
		pool := pgxPool(t, s.PostgresURL(), 2)
		return pool.With(ctx, func(ctx context.Context, holder *pgx.Conn) error {
			tx, err := holder.Begin(ctx)
			if err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, "select * from held for update"); err != nil {
				return err
			}
			x := rondo.Spawn(ctx, func(ctx context.Context) (int, error) {
				return 0, pool.With(ctx, func(ctx context.Context, c *pgx.Conn) error {
					_, err := c.Exec(ctx, "select length($1::text), n from held for update", strings.Repeat("x", 100<<20))
					return err
				})
			})
			for waiting := 0; waiting == 0; { // for the lock
				if err := tx.QueryRow(ctx, "select count(*) from pg_locks where not granted").Scan(&waiting); err != nil {
					return err
				}
				if err := rondo.Sleep(ctx, time.Millisecond); err != nil { // of the server's time, which is real
					return err
				}
			}
			err = tx.Rollback(ctx)
			_, xerr := x.Await(ctx)
			return errors.Join(err, xerr)
		})
	})
}

func TestPgxTLSInline(t *testing.T) {
	s := postgres(t)
	pem, err := os.ReadFile(filepath.Join(s.Dir, "root.pem"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	url := fmt.Sprintf("postgres://scram:secret@%s/postgres?sslmode=require", s.Addr)
	onLoop(t, func(ctx context.Context) error {
		pool := pgxPool(t, url, 20, func(c *pgx.ConnConfig) {
			c.TLSConfig = &tls.Config{RootCAs: roots, ServerName: "127.0.0.1"}
		})
		err := eachOf(ctx, 200, func(ctx context.Context, i int) error {
			return pool.With(ctx, func(ctx context.Context, c *pgx.Conn) error {
				var n int
				var encrypted bool
				err := c.QueryRow(ctx, "select $1::int, ssl from pg_stat_ssl where pid = pg_backend_pid()", i).Scan(&n, &encrypted)
				if err == nil && (n != i || !encrypted) {
					err = fmt.Errorf("got %d, encrypted: %v", n, encrypted)
				}
				return err
			})
		})
		return errors.Join(err, pool.Close(ctx))
	})
}

func TestPgxNotificationsInline(t *testing.T) {
	s := postgres(t)
	const listeners, messages = 50, 20
	onLoop(t, func(ctx context.Context) error {
		pool := pgxPool(t, s.PostgresURL(), listeners+1)
		listening := 0
		all := rondo.NewEvent()
		err := eachOf(ctx, listeners+1, func(ctx context.Context, i int) error {
			return pool.With(ctx, func(ctx context.Context, c *pgx.Conn) error {
				if i == listeners {
					if err := all.Wait(ctx); err != nil {
						return err
					}
					for k := range messages {
						if _, err := c.Exec(ctx, "select pg_notify('news', $1)", fmt.Sprint(k)); err != nil {
							return err
						}
					}
					return nil
				}
				if _, err := c.Exec(ctx, "listen news"); err != nil {
					return err
				}
				if listening++; listening == listeners {
					all.Set()
				}
				for k := range messages {
					n, err := c.WaitForNotification(ctx)
					if err != nil || n.Payload != fmt.Sprint(k) {
						return fmt.Errorf("message %d: %v, %w", k, n, err)
					}
				}
				_, err := c.Exec(ctx, "unlisten news")
				return err
			})
		})
		return errors.Join(err, pool.Close(ctx))
	})
}

// A task that is canceled in the middle of a query never leaves its reply to the next user of the connection.
func TestPgxCanceledQueryKeepsItsReply(t *testing.T) {
	s := postgres(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	const tasks, rounds = 200, 3
	onLoop(t, func(ctx context.Context) error {
		pool := pgxPool(t, s.PostgresURL(), 25)
		answered, canceled := 0, 0
		for round := range rounds {
			var all []*rondo.Task[struct{}]
			for i := range tasks {
				me, how, rest := round*tasks+i, random.IntN(3), time.Duration(random.IntN(20))*time.Millisecond
				all = append(all, rondo.Spawn(ctx, func(ctx context.Context) (struct{}, error) {
					return struct{}{}, pool.With(ctx, func(ctx context.Context, c *pgx.Conn) error {
						return askOwn(ctx, c, how, me, rest)
					})
				}))
			}
			victim := make(map[int]bool)
			for _, i := range random.Perm(tasks)[:tasks/2] {
				victim[i] = true
				if random.IntN(4) == 0 {
					// Real time, that of the server, so that queries are met at every stage.
					if err := rondo.Sleep(ctx, time.Duration(random.IntN(3000))*time.Microsecond); err != nil {
						return err
					}
				}
				all[i].Cancel("")
			}
			for i, x := range all {
				switch _, err := x.Await(ctx); {
				case err == nil:
					answered++
				case victim[i] && errors.Is(err, context.Canceled):
					canceled++
				case victim[i] && errors.Is(err, pgconn.ErrConnClosed): // pgx.BeginFunc puts the failed rollback first
					canceled++
				default:
					t.Errorf("round %d, task %d, canceled %v: %v", round, i, victim[i], err)
				}
			}
		}
		t.Logf("%d answered, %d canceled", answered, canceled)
		if answered < rounds*tasks/2 || canceled == 0 {
			t.Errorf("%d answered, %d canceled", answered, canceled)
		}
		return pool.Close(ctx)
	})
}

// askOwn asks in one of several ways for what only the asker knows.
func askOwn(ctx context.Context, c *pgx.Conn, how, me int, rest time.Duration) error {
	switch how {
	case 0:
		var got int
		err := c.QueryRow(ctx, "select $1::int from pg_sleep($2)", me, rest.Seconds()).Scan(&got)
		if err == nil && got != me {
			err = fmt.Errorf("%d got the reply of %d", me, got)
		}
		return err
	case 1:
		rows, err := c.Query(ctx, "select $1::int, repeat('x', 200) from generate_series(1, 2000)", me)
		if err != nil {
			return err
		}
		defer rows.Close()
		n := 0
		for rows.Next() {
			var got int
			var pad string
			if err := rows.Scan(&got, &pad); err != nil {
				return err
			}
			if got != me {
				return fmt.Errorf("%d got a row of %d", me, got)
			}
			n++
		}
		if err := rows.Err(); err != nil {
			return err
		}
		if n != 2000 {
			return fmt.Errorf("%d rows", n)
		}
		return nil
	}
	return pgx.BeginFunc(ctx, c, func(tx pgx.Tx) error {
		for k := range 5 {
			var got int
			if err := tx.QueryRow(ctx, "select $1::int", me*10+k).Scan(&got); err != nil {
				return err
			}
			if got != me*10+k {
				return fmt.Errorf("%d got %d", me*10+k, got)
			}
		}
		return nil
	})
}

func TestPgxKilledBackendIsReplaced(t *testing.T) {
	s := postgres(t)
	onLoop(t, func(ctx context.Context) error {
		pool := pgxPool(t, s.PostgresURL(), 5)
		err := pool.With(ctx, func(ctx context.Context, c *pgx.Conn) error {
			_, err := c.Exec(ctx, "select pg_terminate_backend(pg_backend_pid())")
			var pe *pgconn.PgError
			if !errors.As(err, &pe) || pe.Code != "57P01" { // admin_shutdown
				t.Errorf("query of a killed backend: %v", err)
			}
			_, err = c.Exec(ctx, "select 1")
			return err
		})
		if err == nil || errors.Is(err, context.Canceled) {
			t.Errorf("query after that: %v", err)
		}
		return errors.Join(pool.With(ctx, func(ctx context.Context, c *pgx.Conn) error { return c.Ping(ctx) }), pool.Close(ctx))
	})
}

func TestPgxKilledServerIsMissedAndFoundAgain(t *testing.T) {
	own, err := server.Postgres()
	s := started(t, own, err)
	defer s.Close()
	onLoop(t, func(ctx context.Context) error {
		pool := pgxPool(t, s.PostgresURL(), 20)
		sleeping := 0
		all := rondo.NewEvent()
		killer := rondo.Spawn(ctx, func(ctx context.Context) (struct{}, error) {
			if err := all.Wait(ctx); err != nil {
				return struct{}{}, err
			}
			return rondo.ToThread(ctx, func() (struct{}, error) { return struct{}{}, s.Kill() })
		})
		err := eachOf(ctx, 20, func(ctx context.Context, i int) error {
			err := pool.With(ctx, func(ctx context.Context, c *pgx.Conn) error {
				if sleeping++; sleeping == 20 {
					all.Set()
				}
				_, err := c.Exec(ctx, "select pg_sleep(600)")
				return err
			})
			if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("task %d: %v", i, err)
			}
			return nil
		})
		if _, kerr := killer.Await(ctx); err != nil || kerr != nil {
			return errors.Join(err, kerr)
		}
		err = pool.With(ctx, func(ctx context.Context, c *pgx.Conn) error { return nil })
		var oe *net.OpError
		if !errors.As(err, &oe) || !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("nobody listens: %v", err)
		}
		if _, err := rondo.ToThread(ctx, func() (struct{}, error) { return struct{}{}, s.RestartPostgres() }); err != nil {
			return err
		}
		err = eachOf(ctx, 40, func(ctx context.Context, i int) error {
			return pool.With(ctx, func(ctx context.Context, c *pgx.Conn) error { return c.Ping(ctx) })
		})
		return errors.Join(err, pool.Close(ctx))
	})
}

// A pool of pgx's own waits on channels, so a semaphore of its size stands before it; and it connects on goroutines.
func TestPgxpoolInline(t *testing.T) {
	s := postgres(t)
	const size = 10
	onLoop(t, func(ctx context.Context) error {
		config, err := pgxpool.ParseConfig(s.PostgresURL())
		if err != nil {
			return err
		}
		config.MaxConns = size
		config.HealthCheckPeriod = 10 * time.Millisecond // closes and makes connections off the loop meanwhile
		config.MaxConnIdleTime = 5 * time.Millisecond
		config.ConnConfig.DialFunc = rondo.RunningLoop().DialContext
		pool, err := pgxpool.NewWithConfig(ctx, config)
		if err != nil {
			return err
		}
		turn := rondo.NewSemaphore(size)
		err = eachOf(ctx, 200, func(ctx context.Context, i int) error {
			for range 3 {
				err := turn.With(ctx, func() error {
					var n int
					err := pool.QueryRow(ctx, "select $1::int from pg_sleep(0.003)", i).Scan(&n)
					if err == nil && n != i {
						err = fmt.Errorf("%d got the reply of %d", i, n)
					}
					return err
				})
				if err != nil {
					return err
				}
			}
			return nil
		})
		_, cerr := rondo.ToThread(ctx, func() (int, error) { pool.Close(); return 0, nil })
		return errors.Join(err, cerr)
	})
}
