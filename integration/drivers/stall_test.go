//go:build linux

package drivers

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/rondo-go/rondo"
)

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
					_, err := c.Exec(ctx, "select length($1::text), n from held for update", strings.Repeat("x", 200<<20))
					return err
				})
			})
			if err := rondo.Sleep(ctx, 3*time.Second); err != nil {
				return err
			}
			err = tx.Rollback(ctx)
			_, xerr := x.Await(ctx)
			return errors.Join(err, xerr)
		})
	})
}
