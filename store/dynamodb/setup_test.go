package dynamodb_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	sdk "github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/enlacehq/enlace/internal/engines"
	"github.com/enlacehq/enlace/store"
	"github.com/enlacehq/enlace/store/dynamodb"
)

// raw is the engine without the driver.
func raw(t testing.TB) *sdk.Client {
	t.Helper()
	cfg, err := config.LoadDefaultConfig(t.Context())
	must(t, err)
	return sdk.NewFromConfig(cfg, func(o *sdk.Options) { o.BaseEndpoint = aws.String(engines.DynamoDB(t)) })
}

// makeTable makes a table by hand, with the given keys and no index.
func makeTable(t testing.TB, pk string, kind types.ScalarAttributeType, sk string) string {
	t.Helper()
	name := tableName()
	in := &sdk.CreateTableInput{
		TableName: &name, BillingMode: types.BillingModePayPerRequest,
		AttributeDefinitions: []types.AttributeDefinition{{AttributeName: &pk, AttributeType: kind}},
		KeySchema:            []types.KeySchemaElement{{AttributeName: &pk, KeyType: types.KeyTypeHash}},
	}
	if sk != "" {
		in.AttributeDefinitions = append(in.AttributeDefinitions, types.AttributeDefinition{AttributeName: &sk, AttributeType: kind})
		in.KeySchema = append(in.KeySchema, types.KeySchemaElement{AttributeName: &sk, KeyType: types.KeyTypeRange})
	}
	_, err := raw(t).CreateTable(t.Context(), in)
	must(t, err)
	return name
}

// wantLine expects an error of one line in which want stands.
func wantLine(t testing.TB, err error, want ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("no error, want one that says %q", want)
		return
	}
	for _, part := range want {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%v, want %q in it", err, part)
		}
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("%q has more than one line", err)
	}
}

func TestCreate_MakesATableThatPassesCheck_AndMayBeRepeated(t *testing.T) {
	db := create(t, tableName(), dynamodb.Options{})
	must(t, db.Check(t.Context()))
	must(t, db.Write(t.Context(), store.Put(item("a", "1"), store.Any)))
	must(t, db.Create(t.Context()))
	if v, _ := value(t, db, "a"); v != "1" {
		t.Errorf("after another Create a is %q", v)
	}
	page, err := db.Query(t.Context(), store.Query{PK: "META"})
	if err != nil || len(page.Items) != 0 {
		t.Errorf("Check left %v, %v", page.Items, err)
	}
}

// Another makes each part between our look and our doing.
func TestCreate_BesideAnother(t *testing.T) {
	db, p := behind(t, dynamodb.Options{})
	looks := map[string]fate{
		"DescribeTable":      refusal("ResourceNotFoundException"),
		"DescribeTimeToLive": {lost: true, status: 200, body: `{"TimeToLiveDescription":{"TimeToLiveStatus":"DISABLED"}}`},
	}
	p.set(func(r request) fate {
		f := looks[r.operation]
		delete(looks, r.operation)
		return f
	})
	must(t, db.Create(t.Context()))
	if got := p.operations(); !strings.Contains(got, "CreateTable") || !strings.Contains(got, "UpdateTimeToLive") {
		t.Errorf("sent %s: nothing was tried to be made twice", got)
	}
}

func TestCreate_AddsWhatATableLacks(t *testing.T) {
	db := open(t, makeTable(t, "PK", types.ScalarAttributeTypeS, "SK"), dynamodb.Options{Endpoint: engines.DynamoDB(t)})
	wantLine(t, db.Check(t.Context()), "no index", "enlace setup")
	must(t, db.Create(t.Context()))
	must(t, db.Check(t.Context()))
}

func TestCheck_SaysWhatIsWrong(t *testing.T) {
	at := dynamodb.Options{Endpoint: engines.DynamoDB(t)}
	wantLine(t, open(t, "nowhere", at).Check(t.Context()), "no such table", `"nowhere"`, at.Endpoint, "enlace setup")

	for name, keys := range map[string]struct {
		pk   string
		kind types.ScalarAttributeType
		sk   string
		want string
	}{
		"other names":  {"id", types.ScalarAttributeTypeS, "at", "its key is id (S), at (S), want PK (S), SK (S)"},
		"no sort key":  {"PK", types.ScalarAttributeTypeS, "", "its key is PK (S), want"},
		"other types":  {"PK", types.ScalarAttributeTypeB, "SK", "its key is PK (B), SK (B), want"},
		"another case": {"pk", types.ScalarAttributeTypeS, "sk", "its key is pk (S), sk (S), want"},
	} {
		db := open(t, makeTable(t, keys.pk, keys.kind, keys.sk), at)
		wantLine(t, db.Check(t.Context()), "is not enlace's", keys.want)
		if err := db.Create(t.Context()); err == nil || !strings.Contains(err.Error(), "is not enlace's") {
			t.Errorf("%s: Create: %v, want the table left as it is", name, err)
		}
	}

	table := tableName()
	db := create(t, table, dynamodb.Options{})
	_, err := raw(t).UpdateTimeToLive(t.Context(), &sdk.UpdateTimeToLiveInput{
		TableName:               &table,
		TimeToLiveSpecification: &types.TimeToLiveSpecification{AttributeName: aws.String(dynamodb.AttributeTTL), Enabled: aws.Bool(false)},
	})
	must(t, err)
	wantLine(t, db.Check(t.Context()), "time to live", "enlace setup")
	must(t, db.Create(t.Context()))
	must(t, db.Check(t.Context()))
}

func TestCheck_SaysWhichRequestIsNotAllowed(t *testing.T) {
	db, p := behind(t, dynamodb.Options{})
	for _, operation := range []string{"DescribeTable", "DescribeTimeToLive", "GetItem", "BatchGetItem", "Query", "TransactWriteItems"} {
		p.set(func(r request) fate {
			if r.operation == operation {
				denied := refusal("AccessDeniedException")
				denied.body = strings.Replace(denied.body, "so the test will have it", "not authorized to perform: dynamodb:"+operation, 1)
				return denied
			}
			return pass
		})
		wantLine(t, db.Check(t.Context()), "does not allow", operation)
	}
	p.set(func(request) fate { return refusal("UnrecognizedClientException") })
	wantLine(t, db.Check(t.Context()), "does not take these credentials")
}

func TestCheck_EngineThatCannotBeReached(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	must(t, listener.Close())
	endpoint := "http://" + listener.Addr().String()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	err = open(t, "table", dynamodb.Options{Endpoint: endpoint}).Check(ctx)
	wantLine(t, err, "refused", endpoint)
	if !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("%v, want ErrUnavailable", err)
	}
}

func TestOpen_WithoutARegion(t *testing.T) {
	t.Setenv("AWS_REGION", "")
	_, err := dynamodb.Open(t.Context(), "table", dynamodb.Options{})
	wantLine(t, err, "no region", "AWS_REGION")
}

func TestCheck_WithoutCredentials(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	db := open(t, "table", dynamodb.Options{Endpoint: engines.DynamoDB(t)})
	wantLine(t, db.Check(t.Context()), "no credentials")
	if err := db.Write(t.Context(), store.Put(item("a", "1"), store.Any)); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("Write without credentials: %v, want ErrUnavailable: nothing was sent", err)
	}
}

// The SDK's own variables name the endpoint where no option does.
func TestOpen_EndpointOfTheEnvironment(t *testing.T) {
	t.Setenv("AWS_ENDPOINT_URL_DYNAMODB", engines.DynamoDB(t))
	db := open(t, tableName(), dynamodb.Options{})
	must(t, db.Create(t.Context()))
	must(t, db.Check(t.Context()))
}
