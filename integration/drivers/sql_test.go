//go:build linux

package drivers

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/rondo-go/rondo"
)

// home is the loop whose tasks make the connections of the network rondo; dials counts them.
var (
	home  atomic.Pointer[rondo.Loop]
	dials atomic.Int64
)

func init() {
	mysql.RegisterDialContext("rondo", func(ctx context.Context, addr string) (net.Conn, error) {
		return dialAtHome(ctx, "tcp", addr)
	})
}

// dialAtHome connects by a task of the loop, for a goroutine off it: so the whole of database/sql runs on a Conn's
// side for goroutines. A program has no reason to do so.
func dialAtHome(ctx context.Context, network, addr string) (net.Conn, error) {
	x, err := rondo.SpawnThreadsafe(ctx, home.Load(), func(ctx context.Context) (net.Conn, error) {
		dials.Add(1)
		return rondo.DialContext(ctx, network, addr)
	})
	if err != nil {
		return nil, err
	}
	return x.Await(ctx)
}

// database is the recipe of docs/databases.md: database/sql holds locks while it talks to the server, so it runs off
// the loop, on as many goroutines as it has connections.
type database struct {
	*sql.DB
	threads *rondo.ThreadPool
}

func (d *database) do(ctx context.Context, fn func(db *sql.DB) error) error {
	_, err := rondo.InExecutor(ctx, d.threads, func() (struct{}, error) { return struct{}{}, fn(d.DB) })
	return err
}

func newDatabase(db *sql.DB, size int) *database {
	db.SetMaxOpenConns(size)
	db.SetMaxIdleConns(size)
	return &database{db, rondo.NewThreadPool(size)}
}

// onDatabases runs fn on MariaDB and on PostgreSQL.
func onDatabases(t *testing.T, size int, fn func(t *testing.T, ctx context.Context, d *database)) {
	t.Run("mysql", func(t *testing.T) {
		s := mariadb(t)
		onLoop(t, func(ctx context.Context) error {
			home.Store(rondo.RunningLoop())
			db, err := sql.Open("mysql", s.MySQLDSN("rondo")+"?interpolateParams=true")
			if err != nil {
				return err
			}
			before := dials.Load()
			fn(t, ctx, newDatabase(db, size))
			if dials.Load() == before {
				t.Error("no connection was made by a task")
			}
			_, err = rondo.ToThread(ctx, func() (int, error) { return 0, db.Close() })
			return err
		})
	})
	t.Run("pgx", func(t *testing.T) {
		s := postgres(t)
		onLoop(t, func(ctx context.Context) error {
			home.Store(rondo.RunningLoop())
			config, err := pgx.ParseConfig(s.PostgresURL())
			if err != nil {
				return err
			}
			config.DialFunc = dialAtHome
			db := stdlib.OpenDB(*config)
			fn(t, ctx, newDatabase(db, size))
			_, err = rondo.ToThread(ctx, func() (int, error) { return 0, db.Close() })
			return err
		})
	})
}

func TestSQLQueriesOffTheLoop(t *testing.T) {
	onDatabases(t, 20, func(t *testing.T, ctx context.Context, d *database) {
		err := eachOf(ctx, 200, func(ctx context.Context, i int) error {
			return d.do(ctx, func(db *sql.DB) error {
				for k := range 5 {
					var got int
					if err := db.QueryRowContext(ctx, fmt.Sprintf("select %d", i*10+k)).Scan(&got); err != nil {
						return err
					}
					if got != i*10+k {
						return fmt.Errorf("asked %d, got %d", i*10+k, got)
					}
				}
				long := strings.Repeat(string(rune('a'+i%26)), 1000*i)
				var back string
				err := db.QueryRowContext(ctx, "select '"+long+"'").Scan(&back)
				if err == nil && back != long {
					err = fmt.Errorf("%d bytes in place of %d", len(back), len(long))
				}
				return err
			})
		})
		if err != nil {
			t.Error(err)
		}
	})
}

func TestSQLTransactionsOffTheLoop(t *testing.T) {
	onDatabases(t, 20, func(t *testing.T, ctx context.Context, d *database) {
		if err := d.do(ctx, func(db *sql.DB) error {
			for _, s := range []string{"drop table if exists counter", "create table counter(id int primary key, n int)", "insert into counter values (1, 0)"} {
				if _, err := db.ExecContext(ctx, s); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		const tasks = 200
		err := eachOf(ctx, tasks, func(ctx context.Context, i int) error {
			return d.do(ctx, func(db *sql.DB) error {
				tx, err := db.BeginTx(ctx, nil)
				if err != nil {
					return err
				}
				defer tx.Rollback()
				var n int
				if err := tx.QueryRowContext(ctx, "select n from counter where id = 1 for update").Scan(&n); err != nil {
					return err
				}
				if _, err := tx.ExecContext(ctx, fmt.Sprintf("update counter set n = %d where id = 1", n+1)); err != nil {
					return err
				}
				return tx.Commit()
			})
		})
		var n int
		qerr := d.do(ctx, func(db *sql.DB) error { return db.QueryRowContext(ctx, "select n from counter").Scan(&n) })
		if err := errors.Join(err, qerr); err != nil || n != tasks {
			t.Errorf("counted %d, %v", n, err)
		}
	})
}

func TestSQLCanceledQueryKeepsItsReply(t *testing.T) {
	onDatabases(t, 25, func(t *testing.T, ctx context.Context, d *database) {
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		random := rand.New(rand.NewPCG(seed, 0))
		const tasks, rounds = 200, 3
		sleep := "select sleep(%[2]f), %[1]d"
		if t.Name() == "TestSQLCanceledQueryKeepsItsReply/pgx" {
			sleep = "select 0, %d from pg_sleep(%f)"
		}
		answered, canceled := 0, 0
		for round := range rounds {
			var all []*rondo.Task[struct{}]
			for i := range tasks {
				me, rest := round*tasks+i, random.Float64()*0.01
				all = append(all, rondo.Spawn(ctx, func(ctx context.Context) (struct{}, error) {
					return struct{}{}, d.do(ctx, func(db *sql.DB) error {
						for k := range 3 {
							var zero, got int
							if err := db.QueryRowContext(ctx, fmt.Sprintf(sleep, me*10+k, rest)).Scan(&zero, &got); err != nil {
								return err
							}
							if got != me*10+k {
								t.Errorf("%d got the reply of %d", me*10+k, got)
							}
						}
						return nil
					})
				}))
			}
			victim := make(map[int]bool)
			for _, i := range random.Perm(tasks)[:tasks/2] {
				victim[i] = true
				if random.IntN(3) == 0 {
					// Real time, that of the server, so that queries are met at every stage.
					if err := rondo.Sleep(ctx, time.Duration(random.IntN(3000))*time.Microsecond); err != nil {
						t.Fatal(err)
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
				default:
					t.Errorf("round %d, task %d, canceled %v: %v", round, i, victim[i], err)
				}
			}
		}
		t.Logf("%d answered, %d canceled", answered, canceled)
		if answered < rounds*tasks/2 || canceled == 0 {
			t.Errorf("%d answered, %d canceled", answered, canceled)
		}
	})
}
