// The schema registry of the tests: an independent implementation of Confluent's API, which keeps everything in memory. What changed it is kept
// as a journal of requests, which are made again when it starts: so it has the same schemas, under the same ids.
//
//	schema-registry <address> <journal>
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/twmb/franz-go/pkg/sr/srfake"
)

// entry is a request that was answered well and may have changed something.
type entry struct {
	Method string
	URL    string
	Type   string
	Body   []byte
}

// journaled lets requests through one at a time, and writes down those that change something before they are answered.
type journaled struct {
	registry http.Handler
	mutex    sync.Mutex
	journal  *os.File
}

func (j *journaled) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		j.registry.ServeHTTP(w, r)
		return
	}
	j.mutex.Lock()
	defer j.mutex.Unlock()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	request := entry{r.Method, r.URL.RequestURI(), r.Header.Get("Content-Type"), body}
	answer := j.apply(request)
	if answer.Code < 300 {
		line, err := json.Marshal(request)
		if err == nil {
			_, err = j.journal.Write(append(line, '\n'))
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
	}
	for name, values := range answer.Header() {
		w.Header()[name] = values
	}
	w.WriteHeader(answer.Code)
	if _, err := w.Write(answer.Body.Bytes()); err != nil {
		log.Print(err)
	}
}

func (j *journaled) apply(e entry) *httptest.ResponseRecorder {
	request := httptest.NewRequest(e.Method, e.URL, bytes.NewReader(e.Body))
	request.Header.Set("Content-Type", e.Type)
	answer := httptest.NewRecorder()
	j.registry.ServeHTTP(answer, request)
	return answer
}

// replay makes the requests of the journal again. A line that a kill has cut short was not answered.
func (j *journaled) replay() error {
	reader := bufio.NewReader(j.journal)
	whole := int64(0)
	for {
		line, err := reader.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return j.journal.Truncate(whole)
		}
		if err != nil {
			return err
		}
		var e entry
		if err := json.Unmarshal(line, &e); err != nil {
			return err
		}
		j.apply(e)
		whole += int64(len(line))
	}
}

func main() {
	address, path := os.Args[1], os.Args[2]
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	if err != nil {
		log.Fatal(err)
	}
	handler := &journaled{registry: srfake.NewRegistry().Handler(), journal: file}
	if err := handler.replay(); err != nil {
		log.Fatal(err)
	}
	server := &http.Server{Addr: address, Handler: handler}
	end, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	go func() {
		<-end.Done()
		if err := server.Shutdown(context.Background()); err != nil {
			log.Print(err)
		}
	}()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		log.Fatal(err)
	}
}
