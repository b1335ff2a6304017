//go:build linux

package drivers

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/rondo-go/rondo"
	"github.com/rondo-go/rondo/integration/drivers/server"
)

// A cache is the recipe of docs/databases.md: a client, with a semaphore of its pool's size before it.
type cache struct {
	*redis.Client
	turn *rondo.Semaphore
}

func redisClient(t testing.TB, addr string, size int) *cache {
	c := redis.NewClient(&redis.Options{
		Addr:     addr,
		Dialer:   rondo.RunningLoop().DialContext, // the client connects on goroutines of its own
		PoolSize: size,
		// Both would sleep on the loop's thread.
		MaxRetries: -1, DialerRetries: 1,
		// With them on, a lock is held while a new connection talks to the server.
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	})
	t.Cleanup(func() { c.Close() })
	return &cache{c, rondo.NewSemaphore(size)}
}

func (c *cache) with(ctx context.Context, fn func() error) error { return c.turn.With(ctx, fn) }

func TestRedisCommandsInline(t *testing.T) {
	s := redisServer(t)
	onLoop(t, func(ctx context.Context) error {
		c := redisClient(t, s.Addr, 20)
		return eachOf(ctx, 200, func(ctx context.Context, i int) error {
			key, value := fmt.Sprintf("commands:%d", i), strings.Repeat(fmt.Sprint(i, " "), 1+i*20)
			return c.with(ctx, func() error {
				if err := c.Set(ctx, key, value, time.Minute).Err(); err != nil {
					return err
				}
				got, err := c.Get(ctx, key).Result()
				if err == nil && got != value {
					err = fmt.Errorf("%.20q in place of %.20q", got, value)
				}
				return errors.Join(err, c.Incr(ctx, "commands").Err())
			})
		})
	})
}

func TestRedisPipelinesAndTransactionsInline(t *testing.T) {
	s := redisServer(t)
	const tasks = 200
	onLoop(t, func(ctx context.Context) error {
		c := redisClient(t, s.Addr, 20)
		c.Del(ctx, "transfer")
		err := eachOf(ctx, tasks, func(ctx context.Context, i int) error {
			return c.with(ctx, func() error {
				got, err := c.Pipelined(ctx, func(p redis.Pipeliner) error {
					for k := range 100 {
						p.Echo(ctx, fmt.Sprint(i, ":", k))
					}
					return nil
				})
				if err != nil {
					return err
				}
				for k, cmd := range got {
					if echo := cmd.(*redis.StringCmd).Val(); echo != fmt.Sprint(i, ":", k) {
						return fmt.Errorf("reply %d of %d: %s", k, i, echo)
					}
				}
				// An optimistic transaction, until nobody came between.
				for {
					err := c.Watch(ctx, func(tx *redis.Tx) error {
						n, err := tx.Get(ctx, "transfer").Int()
						if err != nil && err != redis.Nil {
							return err
						}
						_, err = tx.TxPipelined(ctx, func(p redis.Pipeliner) error {
							p.Set(ctx, "transfer", n+1, 0)
							return nil
						})
						return err
					}, "transfer")
					if err != redis.TxFailedErr {
						return err
					}
				}
			})
		})
		if n, err := c.Get(ctx, "transfer").Int(); err != nil || n != tasks {
			t.Errorf("counted %d, %v", n, err)
		}
		return err
	})
}

// messages is the recipe of docs/databases.md: what is published, as a sequence. Its connection is inline, without
// the goroutines of PubSub.Channel.
func messages(ctx context.Context, sub *redis.PubSub) func(yield func(*redis.Message, error) bool) {
	return func(yield func(*redis.Message, error) bool) {
		for {
			m, err := sub.ReceiveMessage(ctx)
			if !yield(m, err) || err != nil {
				return
			}
		}
	}
}

func TestRedisPublishedMessagesInline(t *testing.T) {
	s := redisServer(t)
	const subscribers, count = 200, 20
	onLoop(t, func(ctx context.Context) error {
		c := redisClient(t, s.Addr, 10)
		ready := 0
		all := rondo.NewEvent()
		return eachOf(ctx, subscribers+1, func(ctx context.Context, i int) error {
			if i == subscribers {
				if err := all.Wait(ctx); err != nil {
					return err
				}
				for k := range count {
					if n, err := c.Publish(ctx, "news", k).Result(); err != nil || n != subscribers {
						return fmt.Errorf("published to %d: %w", n, err)
					}
				}
				return nil
			}
			sub := c.Subscribe(ctx, "news")
			defer sub.Close()
			if _, err := sub.Receive(ctx); err != nil { // that it is subscribed
				return err
			}
			if ready++; ready == subscribers {
				all.Set()
			}
			next := 0
			for m, err := range messages(ctx, sub) {
				if err != nil || m.Payload != fmt.Sprint(next) {
					return fmt.Errorf("message %d: %v, %w", next, m, err)
				}
				if next++; next == count {
					return nil
				}
			}
			return errors.New("the sequence ended")
		})
	})
}

// PubSub.Channel reads on a goroutine, while tasks use the same connection to subscribe.
func TestRedisChannelOffTheLoop(t *testing.T) {
	s := redisServer(t)
	onLoop(t, func(ctx context.Context) error {
		c := redisClient(t, s.Addr, 5)
		sub := c.Subscribe(ctx, "channel:a")
		defer sub.Close()
		if _, err := sub.Receive(ctx); err != nil {
			return err
		}
		arrived := sub.Channel()
		if err := sub.Subscribe(ctx, "channel:b"); err != nil {
			return err
		}
		for {
			n, err := c.Publish(ctx, "channel:b", "hello").Result()
			if err != nil {
				return err
			}
			if n == 1 {
				break
			}
		}
		m, err := rondo.ToThread(ctx, func() (*redis.Message, error) { return <-arrived, nil })
		if err == nil && m.Payload != "hello" {
			err = fmt.Errorf("got %v", m)
		}
		return err
	})
}

func TestRedisCanceledCommandKeepsItsReply(t *testing.T) {
	s := redisServer(t)
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	const tasks, rounds = 200, 5
	onLoop(t, func(ctx context.Context) error {
		c := redisClient(t, s.Addr, 25)
		answered, canceled := 0, 0
		for round := range rounds {
			var all []*rondo.Task[struct{}]
			for i := range tasks {
				me, rest := fmt.Sprint(round*tasks+i), time.Duration(random.IntN(10)+1)*time.Millisecond
				long := strings.Repeat(me+" ", 1+random.IntN(20000))
				all = append(all, rondo.Spawn(ctx, func(ctx context.Context) (struct{}, error) {
					return struct{}{}, c.with(ctx, func() error {
						for k := range 3 {
							if k == 1 {
								err := c.Do(ctx, "blpop", "nothing:"+me, rest.Seconds()).Err() // waits on the server
								if err != redis.Nil {
									return fmt.Errorf("pop: %w", err)
								}
							}
							got, err := c.Echo(ctx, long).Result()
							if err != nil {
								return err
							}
							if got != long {
								return fmt.Errorf("%s got %.20q", me, got)
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
					// Real time, that of the server, so that commands are met at every stage.
					if err := rondo.Sleep(ctx, time.Duration(random.IntN(2000))*time.Microsecond); err != nil {
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
				default:
					t.Errorf("round %d, task %d, canceled %v: %v", round, i, victim[i], err)
				}
			}
		}
		t.Logf("%d answered, %d canceled", answered, canceled)
		if answered < rounds*tasks/2 || canceled == 0 {
			t.Errorf("%d answered, %d canceled", answered, canceled)
		}
		return nil
	})
}

func TestRedisKilledServerIsMissedAndFoundAgain(t *testing.T) {
	own, err := server.Redis()
	s := started(t, own, err)
	defer s.Close()
	onLoop(t, func(ctx context.Context) error {
		c := redisClient(t, s.Addr, 20)
		waiting := 0
		all := rondo.NewEvent()
		killer := rondo.Spawn(ctx, func(ctx context.Context) (struct{}, error) {
			if err := all.Wait(ctx); err != nil {
				return struct{}{}, err
			}
			return rondo.ToThread(ctx, func() (struct{}, error) { return struct{}{}, s.Kill() })
		})
		err := eachOf(ctx, 20, func(ctx context.Context, i int) error {
			return c.with(ctx, func() error {
				if err := c.Ping(ctx).Err(); err != nil {
					return err
				}
				if waiting++; waiting == 20 {
					all.Set()
				}
				err := c.BLPop(ctx, 0, "never").Err()
				if err == nil || err == redis.Nil || errors.Is(err, context.Canceled) {
					t.Errorf("task %d: %v", i, err)
				}
				return nil
			})
		})
		if _, kerr := killer.Await(ctx); err != nil || kerr != nil {
			return errors.Join(err, kerr)
		}
		if err := c.Ping(ctx).Err(); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("nobody listens: %v", err)
		}
		if _, err := rondo.ToThread(ctx, func() (struct{}, error) { return struct{}{}, s.RestartRedis() }); err != nil {
			return err
		}
		return eachOf(ctx, 40, func(ctx context.Context, i int) error {
			return c.with(ctx, func() error { return c.Ping(ctx).Err() })
		})
	})
}
